"""What a stream has for the store, one write after the other, and the lines these are on disk. Pure.

Times are those of the stream: where it lies on the call's clock may not be known before the store can be reached.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from transcriber.events.schema import (
    CallEnded,
    CallStarted,
    Dtmf,
    Event,
    Final,
    Gap,
    Partial,
    StreamError,
    StreamStarted,
    StreamStopped,
    Word,
)

E = TypeVar("E", bound=Event)
TIMES = ("start_ms", "end_ms", "from_ms", "to_ms")
KINDS: Mapping[str, type[Event]] = {
    kind.type: kind for kind in (CallStarted, StreamStarted, Final, Dtmf, Gap, StreamError, StreamStopped, CallEnded)
}


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
    event: Event


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """A stream's end, likewise; `call` counts only if no other stream of the call is live."""

    number: int
    noted_ms: int
    stream: StreamStopped
    call: CallEnded


Write = EventAppended | StreamClosed


def line(record: StreamOpened | Write) -> bytes:
    """The record as one line of JSON."""
    match record:
        case StreamOpened(call=call, stream=stream):
            data = {name: getattr(record, name) for name in ("at_ms", "call_ms", "after", "seq")}
            data["events"] = [_data(call), _data(stream)]
        case EventAppended(number, noted_ms, event):
            data = {"number": number, "noted_ms": noted_ms, "events": [_data(event)]}
        case StreamClosed(number, noted_ms, stopped, ended):
            data = {"number": number, "noted_ms": noted_ms, "events": [_data(stopped), _data(ended)]}
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def read(text: bytes) -> StreamOpened | Write | None:
    """The record of a line; None for one that was torn or damaged."""
    try:
        data = json.loads(text)
        events = [_event(one) for one in data["events"]]
        match events:
            case [CallStarted() as call, StreamStarted() as stream]:
                more = {name: data[name] for name in ("at_ms", "call_ms", "after", "seq")}
                return StreamOpened(call=call, stream=stream, **more)
            case [StreamStopped() as stopped, CallEnded() as ended]:
                return StreamClosed(data["number"], data["noted_ms"], stopped, ended)
            case [event]:
                return EventAppended(data["number"], data["noted_ms"], event)
    except (ValueError, KeyError, TypeError):
        pass
    return None


def shifted(event: E, by_ms: int) -> E:
    """The event with its times on a clock that began so much earlier."""
    if not by_ms:
        return event
    changed: dict[str, Any] = {}
    if isinstance(event, Final):
        changed["words"] = tuple(
            replace(word, start_ms=word.start_ms + by_ms, end_ms=word.end_ms + by_ms) for word in event.words
        )
    if isinstance(event, Final | Partial | Gap | Dtmf):
        changed |= {name: getattr(event, name) + by_ms for name in TIMES if hasattr(event, name)}
    return replace(event, **changed)


def _data(event: Event) -> dict[str, Any]:
    return {"type": event.type, **dataclasses.asdict(event)}


def _event(data: Mapping[str, Any]) -> Event:
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    kind: Callable[..., Event] = KINDS[fields.pop("type")]
    if "words" in fields:
        fields["words"] = tuple(Word(**word) for word in fields["words"])
    return kind(**fields)
