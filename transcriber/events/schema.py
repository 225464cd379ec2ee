"""What a call says about itself: words, partials, finals, lifecycle events, and their JSON. The one definition of it.

From these structs come the JSON that is published and kept, the lines of the outbox, the JSON Schemas of the API's
description and what is read back. Field names are the JSON keys. Every audio time is an integer in milliseconds on the
call clock (0 = start of the call's first stream); `at` is the wall clock.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

VERSION = 1
Channel = Literal["partial", "final", "event"]

CallSid = Annotated[str, Meta(description="The call, by Twilio's CallSid.")]
StreamSid = Annotated[str, Meta(description="The stream, by Twilio's StreamSid.")]
Track = Annotated[str, Meta(description="Whose audio: `inbound` is the caller's, `outbound` what the caller hears.")]
Speaker = Annotated[str, Meta(description="The track's label: `caller` or `agent` unless the call gave another.")]
Utterance = Annotated[int, Meta(description="The utterance's number on its track in this stream, from 1.")]
Language = Annotated[str, Meta(description="The model's language, such as `en`; `und` if it does not say.")]
Model = Annotated[str, Meta(description="The name of the model that recognises the stream.")]
Start = Annotated[int, Meta(description="Where its first word begins, in milliseconds on the call clock.")]
End = Annotated[int, Meta(description="Where it ends, in milliseconds on the call clock.")]
At = Annotated[
    str,
    Meta(
        description="When the server noted it: wall clock, ISO 8601, UTC, milliseconds.",
        extra_json_schema={"format": "date-time"},
    ),
]
Text = Annotated[str, Meta(description="Its words, parted by spaces, as the recognizer says them.")]
Confidence = Annotated[float, Meta(description="How sure the recognizer is, from 0 to 1.")]
Reason = Annotated[
    str, Meta(description="What ended it, such as `stop`, `disconnected`, `inactivity`, `shutdown` or `interrupted`.")
]


class Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One recognised word."""

    word: Annotated[str, Meta(description="The word as the recognizer says it.")]
    start_ms: Annotated[int, Meta(description="Where the word begins, in milliseconds on the call clock.")]
    end_ms: Annotated[int, Meta(description="Where the word ends, in milliseconds on the call clock.")]
    confidence: Confidence


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """A fact of a call. All but `Partial` are persisted and numbered by `seq`, which the store gives."""

    channel: ClassVar[Channel] = "event"
    call_sid: CallSid

    @property
    def type(self) -> str:
        """What the JSON names it by."""
        return event_type(type(self))


class Partial(Event, frozen=True, kw_only=True, tag="partial"):
    """The text of an utterance so far. An empty text says that it turned out to have no words."""

    channel: ClassVar[Channel] = "partial"
    stream_sid: StreamSid
    track: Track
    speaker: Speaker
    utterance: Utterance
    revision: Annotated[int, Meta(description="The number of this partial within its utterance, from 1.")]
    text: Text
    stable: Annotated[int, Meta(description="How many leading words of the text will not change any more.")]
    start_ms: Start
    end_ms: End
    language: Language
    model: Model
    at: At


class Final(Event, frozen=True, kw_only=True, tag="final"):
    """A finished utterance."""

    channel: ClassVar[Channel] = "final"
    stream_sid: StreamSid
    track: Track
    speaker: Speaker
    utterance: Utterance
    text: Text
    start_ms: Start
    end_ms: End
    confidence: Annotated[float, Meta(description="The mean confidence of its words, from 0 to 1.")]
    words: Annotated[tuple[Word, ...], Meta(description="The words of the text, in order.")]
    language: Language
    model: Model
    at: At


class CallStarted(Event, frozen=True, kw_only=True, tag="call.started"):
    """The first stream of a call began, or one came after the call had ended."""

    account_sid: Annotated[str, Meta(description="The account, by Twilio's AccountSid.")]
    resumed: Annotated[bool, Meta(description="Whether the call had ended before.")]
    at: At


class StreamStarted(Event, frozen=True, kw_only=True, tag="stream.started"):
    """One stream of the call began."""

    stream_sid: StreamSid
    tracks: Annotated[tuple[str, ...], Meta(description="Its tracks: `inbound`, `outbound` or both.")]
    speakers: Annotated[Mapping[str, str], Meta(description="The label of each track.")]
    start_ms: Annotated[int, Meta(description="Where the stream's own zero lies, in milliseconds on the call clock.")]
    language: Language
    model: Model
    parameters: Annotated[Mapping[str, str], Meta(description="Twilio's customParameters, without the ticket.")]
    unknown_words: Annotated[
        tuple[str, ...],
        Meta(description="Words of the call's grammar and hints that the model has no pronunciation for."),
    ] = ()
    at: At


class StreamStopped(Event, frozen=True, kw_only=True, tag="stream.stopped"):
    """One stream ended; every word of it is in a final before this."""

    stream_sid: StreamSid
    reason: Reason
    audio_ms: Annotated[Mapping[str, int], Meta(description="Milliseconds of audio received, by track.")]
    errors: Annotated[Mapping[str, int], Meta(description="How many bad messages came, by code.")]
    at: At


class CallEnded(Event, frozen=True, kw_only=True, tag="call.ended"):
    """The last live stream of the call ended."""

    reason: Reason
    at: At


class Dtmf(Event, frozen=True, kw_only=True, tag="dtmf"):
    """A key was pressed."""

    stream_sid: StreamSid
    track: Track
    digit: Annotated[str, Meta(description="One of `0` to `9`, `*`, `#` and `A` to `D`.")]
    start_ms: Annotated[int, Meta(description="When it was pressed, in milliseconds on the call clock.")]
    at: At


class Gap(Event, frozen=True, kw_only=True, tag="gap"):
    """Audio is missing between two moments of a track."""

    stream_sid: StreamSid
    track: Track
    from_ms: Annotated[int, Meta(description="Where the missing audio begins, in milliseconds on the call clock.")]
    to_ms: Annotated[int, Meta(description="Where the audio goes on, in milliseconds on the call clock.")]
    at: At


class StreamError(Event, frozen=True, kw_only=True, tag="stream.error"):
    """Something about the stream was wrong and passed over; sent once per code and stream."""

    stream_sid: StreamSid
    code: Annotated[str, Meta(description="What was wrong, as a word for programs.")]
    message: Annotated[str, Meta(description="What was wrong, as a sentence for people.")]
    at: At


Persisted = CallStarted | StreamStarted | Final | Dtmf | Gap | StreamError | StreamStopped | CallEnded
"""What is kept: everything but partials."""


def event_type(kind: type[Event]) -> str:
    """What the JSON of these events names them by."""
    return str(kind.__struct_config__.tag)


def iso_time(epoch_s: float) -> str:
    """The wall clock as events tell it: ISO 8601, UTC, milliseconds."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_json(event: Event) -> str:
    """The JSON of an event that carries no number (a partial)."""
    return f'{{"v":{VERSION},' + _encode(event).decode()[1:]


def json_around_seq(event: Event) -> tuple[str, str]:
    """The JSON of a persisted event as (head, tail): the store writes head + seq + tail in its atomic step."""
    text = _encode(event).decode()
    fields = text.index(",")  # behind the type, which has no comma
    return f'{{"v":{VERSION},{text[1:fields]},"seq":', text[fields:]


def parse(text: str) -> dict[str, Any]:
    """An event's JSON as it was kept or published; empty for what is no JSON object: anybody may publish."""
    try:
        event = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        event = _leniently(text)
    return event if isinstance(event, dict) else {}


def _leniently(text: str) -> Any:
    """What Python takes for JSON beyond the standard: NaN, lone surrogates."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


_encode = msgspec.json.Encoder().encode
