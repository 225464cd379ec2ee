"""Every event: its type, what it says, its fields."""

import inspect
from collections.abc import Iterator, Mapping

from docs.reference.json_schema import Json, in_words
from docs.reference.markdown import code, table
from transcriber.events.json_schema import PUBLISHED, event_schemas
from transcriber.events.schema import Event, event_type

# What an event says of a field in place of its struct: with a link to the page that lists the values.
LINKED: Mapping[str, str] = {
    "call.ended.reason": "Why it ended; see [Errors and codes](errors.md#why-a-stream-ended).",
    "stream.stopped.reason": "Why it ended; see [Errors and codes](errors.md#why-a-stream-ended).",
    "stream.stopped.errors": "How many messages were passed over, by [code](errors.md#codes-of-streamerror).",
    "stream.error.code": "What was wrong, as a word for programs; one of [these](errors.md#codes-of-streamerror).",
}


def types_of_events() -> tuple[type[Event], ...]:
    """Every event that is published."""
    return PUBLISHED


def types_table() -> str:
    """Type, channel, what it says."""
    rows = [
        (f"[`{event_type(kind)}`](#{anchor(kind)})", code(kind.channel), " ".join(_said(kind)))
        for kind in types_of_events()
    ]
    return table(("type", "channel", "what it says"), rows)


def sections() -> str:
    """A section an event, with its fields."""
    shapes = event_schemas("#/{name}")
    sections = [_section(kind, shapes[kind.__name__]) for kind in types_of_events()]
    return "\n\n".join([*sections, f"### Word\n\n{_fields(shapes['Word'], 'word')}"])


def _section(kind: type[Event], shape: Json) -> str:
    return "\n\n".join([f"### {event_type(kind)}", *_said(kind), _fields(shape, event_type(kind))])


def _fields(shape: Json, owner: str) -> str:
    rows = [
        (code(name), in_words(said), LINKED.get(f"{owner}.{name}", said["description"]))
        for name, said in shape["properties"].items()
    ]
    return table(("field", "type", "meaning"), rows)


def _said(kind: type[Event]) -> Iterator[str]:
    for paragraph in (inspect.getdoc(kind) or "").split("\n\n"):
        yield " ".join(paragraph.split())


def anchor(kind: type[Event]) -> str:
    """Where its section is on the page."""
    return event_type(kind).replace(".", "")
