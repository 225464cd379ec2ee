"""Every event: its type, what it says, its fields."""

import inspect
from collections.abc import Iterator, Mapping

import msgspec

from docs.reference.json_schema import Json, in_words
from docs.reference.markdown import code, table
from transcriber.events import schema
from transcriber.events.schema import Event

ORDER = ("partial", "final", "call.started", "stream.started", "stream.stopped", "call.ended", "dtmf", "gap")
# What a field means where the schema does not say, wherever it stands; `EVENT.FIELD` wins over the schema.
MEANINGS: Mapping[str, str] = {
    "v": "Version of the format; 1.",
    "type": "The event's type.",
    "seq": "Number of the event within its call: 1, 2, 3 … without a hole.",
    "call_sid": "Twilio's CallSid.",
    "stream_sid": "Twilio's StreamSid; `<stream_sid>.<server>` where two servers had a stream of that name.",
    "account_sid": "Twilio's AccountSid.",
    "track": "`inbound` (the caller's side) or `outbound`.",
    "speaker": "The track's label; default `caller` for `inbound`, `agent` for `outbound`.",
    "utterance": "Number of the utterance within its track and stream.",
    "revision": "Number of the partial within its utterance: 1, 2, …",
    "text": "The words, separated by spaces.",
    "partial.text": "The words so far. Empty: an earlier partial turned out to be nothing and is taken back.",
    "stable": "How many leading words will not change any more.",
    "start_ms": "Where it begins, in milliseconds on the call clock.",
    "partial.start_ms": "Where it begins, in milliseconds on the call clock; an estimate until the decoder settles.",
    "stream.started.start_ms": "Where the stream's own zero lies, in milliseconds on the call clock.",
    "dtmf.start_ms": "When the key was pressed, in milliseconds on the call clock.",
    "end_ms": "Where it ends, in milliseconds on the call clock.",
    "from_ms": "Where the missing audio begins, in milliseconds on the call clock.",
    "to_ms": "Where the missing audio ends, in milliseconds on the call clock.",
    "confidence": "How sure the recognizer is, 0 to 1; of a final the mean over its words.",
    "words": "Each word with its place and confidence.",
    "word": "The word.",
    "language": "The model's language.",
    "model": "The model's name.",
    "resumed": "Whether the call had ended before.",
    "tracks": "The stream's tracks.",
    "speakers": "The label of each track.",
    "parameters": "The stream's custom parameters but the ticket, as they were sent.",
    "unknown_words": "Words of grammar and hints that the model cannot recognise.",
    "reason": "Why it ended; see [Errors and codes](errors.md#why-a-stream-ended).",
    "audio_ms": "Audio received of each track, in milliseconds.",
    "errors": "How many messages were passed over, by code; see [Errors and codes](errors.md#codes-of-streamerror).",
    "digit": "The key: 0 to 9, `*`, `#`, A to D.",
    "code": "What was wrong, in one word; see [Errors and codes](errors.md#codes-of-streamerror).",
    "message": "What was wrong, in one sentence.",
    "at": "Wall clock of the server, ISO 8601, UTC, milliseconds.",
}


def types_of_events() -> list[type[Event]]:
    """Every event, in the order of a call."""
    found = [kind for kind in vars(schema).values() if _is_event(kind)]
    return sorted(found, key=lambda kind: ORDER.index(type_of(kind)) if type_of(kind) in ORDER else len(ORDER))


def type_of(kind: type[Event]) -> str:
    """What the JSON calls it."""
    config = getattr(kind, "__struct_config__", None)
    return str(config.tag if config else kind.type)


def types_table() -> str:
    """Type, channel, what it says."""
    rows = [
        (f"[`{type_of(kind)}`](#{anchor(kind)})", code(kind.channel), " ".join(_said(kind)))
        for kind in types_of_events()
    ]
    return table(("type", "channel", "what it says"), rows)


def sections() -> str:
    """A section an event, with its fields."""
    kinds = types_of_events()
    _, shapes = msgspec.json.schema_components(kinds, ref_template="#/{name}")
    sections = [_section(kind, shapes.pop(kind.__name__)) for kind in kinds]
    return "\n\n".join(
        [*sections, *(f"### {name}\n\n{_fields(shape, name.lower())}" for name, shape in shapes.items())]
    )


def _section(kind: type[Event], shape: Json) -> str:
    head = {"v": {"type": "integer"}, "type": {"type": "string"}, "seq": {"type": "integer"}}
    if kind.channel == "partial":
        del head["seq"]
    return "\n\n".join([f"### {type_of(kind)}", *_said(kind), _fields(shape, type_of(kind), head)])


def _fields(shape: Json, owner: str, head: Json | None = None) -> str:
    rows = [
        (code(name), in_words(said), MEANINGS.get(f"{owner}.{name}") or said.get("description") or MEANINGS[name])
        for name, said in {**(head or {}), **shape["properties"], **(head or {})}.items()
    ]
    return table(("field", "type", "meaning"), rows)


def _said(kind: type[Event]) -> Iterator[str]:
    for paragraph in (inspect.getdoc(kind) or "").split("\n\n"):
        yield " ".join(paragraph.split())


def anchor(kind: type[Event]) -> str:
    """Where its section is on the page."""
    return type_of(kind).replace(".", "")


def _is_event(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
