"""What a call says about itself: words, partials, finals, lifecycle events, and their JSON.

Every audio time is an integer in milliseconds on the call clock (0 = start of the call's first stream);
`at` is the wall clock, ISO 8601, UTC, milliseconds. Field names are the JSON keys.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

import msgspec

VERSION = 1
Channel = Literal["partial", "final", "event"]


@dataclass(frozen=True, slots=True)
class Word:
    """One recognised word; `confidence` is 0..1."""

    word: str
    start_ms: int
    end_ms: int
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact of a call. All but `Partial` are persisted and numbered by `seq`, which the store gives."""

    type: ClassVar[str]
    channel: ClassVar[Channel] = "event"
    call_sid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial(Event):
    """What an utterance reads like so far. The first `stable` words will not change any more."""

    type: ClassVar[str] = "partial"
    channel: ClassVar[Channel] = "partial"
    stream_sid: str
    track: str
    speaker: str
    utterance: int
    revision: int
    text: str
    stable: int
    start_ms: int
    end_ms: int
    language: str
    model: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Final(Event):
    """A finished utterance; `confidence` is the mean of its words'."""

    type: ClassVar[str] = "final"
    channel: ClassVar[Channel] = "final"
    stream_sid: str
    track: str
    speaker: str
    utterance: int
    text: str
    start_ms: int
    end_ms: int
    confidence: float
    words: tuple[Word, ...]
    language: str
    model: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted(Event):
    """The first stream of a call began, or (`resumed`) one came after the call had ended."""

    type: ClassVar[str] = "call.started"
    account_sid: str
    resumed: bool
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStarted(Event):
    """One stream of the call began. `start_ms` is where its own zero lies on the call clock.

    `unknown_words`: those of the call's grammar and hints that the model has no pronunciation for.
    """

    type: ClassVar[str] = "stream.started"
    stream_sid: str
    tracks: tuple[str, ...]
    speakers: Mapping[str, str]
    start_ms: int
    language: str
    model: str
    parameters: Mapping[str, str]
    unknown_words: tuple[str, ...] = ()
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStopped(Event):
    """One stream ended; every word of it is in a final before this. `errors` counts bad messages by code."""

    type: ClassVar[str] = "stream.stopped"
    stream_sid: str
    reason: str
    audio_ms: Mapping[str, int]
    errors: Mapping[str, int]
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded(Event):
    """The last live stream of the call ended."""

    type: ClassVar[str] = "call.ended"
    reason: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dtmf(Event):
    """A key was pressed."""

    type: ClassVar[str] = "dtmf"
    stream_sid: str
    track: str
    digit: str
    start_ms: int
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap(Event):
    """Audio is missing between two moments of a track."""

    type: ClassVar[str] = "gap"
    stream_sid: str
    track: str
    from_ms: int
    to_ms: int
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamError(Event):
    """Something about the stream was wrong and passed over; sent once per code and stream."""

    type: ClassVar[str] = "stream.error"
    stream_sid: str
    code: str
    message: str
    at: str


def iso_time(epoch_s: float) -> str:
    """The wall clock as events tell it: ISO 8601, UTC, milliseconds."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_json(event: Event) -> str:
    """The JSON of an event that carries no number (a partial)."""
    return _dump({"v": VERSION, "type": event.type, **_fields(event)})


def json_around_seq(event: Event) -> tuple[str, str]:
    """The JSON of a persisted event as (head, tail): the store writes head + seq + tail in its atomic step."""
    return f'{{"v":{VERSION},"type":"{event.type}","seq":', "," + _dump(_fields(event))[1:]


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


def _fields(data: Event | Word) -> dict[str, Any]:
    """One level deep: `dataclasses.asdict` copies every word of every final, ten times as slow."""
    return {item.name: getattr(data, item.name) for item in dataclasses.fields(data)}


def _dump(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=_fields)
