"""What a stream has for the store, one write after the other, and the lines these are on disk. Pure.

Times are those of the stream: where it lies on the call's clock may not be known before the store can be reached.
"""

from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from transcriber.events.schema import (
    CallEnded,
    CallStarted,
    Dtmf,
    Event,
    Final,
    Gap,
    Partial,
    Persisted,
    StreamStarted,
    StreamStopped,
)

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOpened:
    """A stream's beginning. `at_ms`: epoch milliseconds of its zero; `call_ms`: of the call's, once that is known.

    Behind write number `after` it goes on; its call has been given the numbers up to `seq`.
    """

    call: CallStarted
    stream: StreamStarted
    at_ms: int
    call_ms: int | None = None
    after: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class EventAppended:
    """One event of a running stream: its write number, and when (epoch milliseconds) it was noted."""

    number: int
    noted_ms: int
    event: Persisted


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """A stream's end, likewise; `call` counts only if no other stream of the call is live."""

    number: int
    noted_ms: int
    stream: StreamStopped
    call: CallEnded


Write = EventAppended | StreamClosed


class _Opened(msgspec.Struct):
    """A `StreamOpened` on disk."""

    at_ms: int
    call_ms: int | None
    after: int
    seq: int
    events: tuple[CallStarted, StreamStarted]


class _Written(msgspec.Struct):
    """Any other record on disk."""

    number: int
    noted_ms: int
    events: tuple[Persisted, ...]


_encode = msgspec.json.Encoder().encode
_read_opened = msgspec.json.Decoder(_Opened).decode
_read_written = msgspec.json.Decoder(_Written).decode


def line(record: StreamOpened | Write) -> bytes:
    """The record as one line of JSON."""
    data: _Opened | _Written
    match record:
        case StreamOpened(call=call, stream=stream):
            data = _Opened(record.at_ms, record.call_ms, record.after, record.seq, (call, stream))
        case EventAppended(number, noted_ms, event):
            data = _Written(number, noted_ms, (event,))
        case StreamClosed(number, noted_ms, stopped, ended):
            data = _Written(number, noted_ms, (stopped, ended))
    return _encode(data) + b"\n"


def read(text: bytes) -> StreamOpened | Write | None:
    """The record of a line; None for one that was torn or damaged."""
    try:
        written = _read_written(text)
    except (ValueError, RecursionError):
        return _opening(text)
    match written.events:
        case [StreamStopped() as stopped, CallEnded() as ended]:
            return StreamClosed(written.number, written.noted_ms, stopped, ended)
        case [event]:
            return EventAppended(written.number, written.noted_ms, event)
    return None


def _opening(text: bytes) -> StreamOpened | None:
    try:
        found = _read_opened(text)
    except (ValueError, RecursionError):
        return None
    call, stream = found.events
    return StreamOpened(
        call=call, stream=stream, at_ms=found.at_ms, call_ms=found.call_ms, after=found.after, seq=found.seq
    )


def shifted(event: E, by_ms: int) -> E:
    """The event with its times on a clock that began so much earlier."""
    if not by_ms:
        return event
    match event:
        case Final():
            words = tuple(
                replace(word, start_ms=word.start_ms + by_ms, end_ms=word.end_ms + by_ms) for word in event.words
            )
            return replace(event, start_ms=event.start_ms + by_ms, end_ms=event.end_ms + by_ms, words=words)
        case Partial():
            return replace(event, start_ms=event.start_ms + by_ms, end_ms=event.end_ms + by_ms)
        case Gap():
            return replace(event, from_ms=event.from_ms + by_ms, to_ms=event.to_ms + by_ms)
        case Dtmf():
            return replace(event, start_ms=event.start_ms + by_ms)
    return event
