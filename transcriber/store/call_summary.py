"""What a call's hash says: which fields an event changes, and the summary read from them. Pure.

One field per item (`speaker:<track>`, `parameter:<name>`), so that the streams of a call merge without reading first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypedDict

from msgspec import Meta

from transcriber.events.schema import (
    CallEnded,
    CallStarted,
    Dtmf,
    Event,
    Final,
    Gap,
    StreamStarted,
    StreamStopped,
    iso_time,
)

Count = Annotated[int, Meta(ge=0)]


class Track(TypedDict):
    """What a call's summary says of one track."""

    speaker: str
    talk_ms: Annotated[Count, Meta(description="How long it spoke: each moment once, in milliseconds.")]
    audio_ms: Annotated[Count, Meta(description="Milliseconds of audio received, of all streams together.")]


class Call(TypedDict):
    """A call's summary."""

    call_sid: str
    status: Literal["live", "ended", "interrupted"]
    account_sid: str
    started_at: Annotated[str, Meta(description="When it began.", extra_json_schema={"format": "date-time"})]
    started_at_ms: Annotated[Count, Meta(description="When it began, in epoch milliseconds.")]
    ended_at: Annotated[str | None, Meta(description="When it ended; null while the call is live.")]
    end_reason: Annotated[str | None, Meta(description="What ended it; null while the call is live.")]
    duration_ms: Annotated[
        Count | None, Meta(description="Milliseconds from its start to its end; null while it is live.")
    ]
    model: str
    language: str
    tracks: dict[str, Track]
    parameters: Annotated[dict[str, str], Meta(description="Twilio's customParameters.")]
    streams: Count
    finals: Count
    words: Count
    dtmf: Count
    gaps: Count
    gap_ms: Annotated[Count, Meta(description="Milliseconds of audio that is missing.")]
    errors: Annotated[Count, Meta(description="How many bad messages came.")]
    last_seq: Annotated[Count, Meta(description="The number of its last event.")]


@dataclass(frozen=True, slots=True)
class Change:
    """One Redis command on the call hash; HDEL has no use for `value`.

    TALK is the script's own: of `value`, two milliseconds, what lies behind all that the track has talked is added.
    """

    command: Literal["HSET", "HSETNX", "HDEL", "HINCRBY", "TALK"]
    field: str
    value: str | int = ""


def changes(event: Event) -> Iterator[Change]:
    """What the event changes in its call's hash when it is written."""
    match event:
        case CallStarted():
            yield Change("HSET", "status", "live")
            yield Change("HSET", "account_sid", event.account_sid)
            yield Change("HDEL", "ended_at")
            yield Change("HDEL", "end_reason")
        case StreamStarted():
            yield from _stream_started(event)
        case Final():
            yield Change("HINCRBY", "finals", 1)
            yield Change("HINCRBY", "words", len(event.words))
            yield Change("TALK", event.track, f"{event.start_ms} {event.end_ms}")
        case Dtmf():
            yield Change("HINCRBY", "dtmf", 1)
        case Gap():
            yield Change("HINCRBY", "gaps", 1)
            yield Change("HINCRBY", "gap_ms", event.to_ms - event.from_ms)
        case StreamStopped():
            yield Change("HINCRBY", "errors", sum(event.errors.values()))
            for track, audio_ms in event.audio_ms.items():
                yield Change("HINCRBY", f"audio_ms:{track}", audio_ms)
        case CallEnded():
            yield Change("HSET", "status", "ended")
            yield Change("HSET", "ended_at", event.at)
            yield Change("HSET", "end_reason", event.reason)


def _stream_started(event: StreamStarted) -> Iterator[Change]:
    yield Change("HINCRBY", "streams", 1)
    asked = {name for name, value in event.parameters.items() if value.strip()}
    yield _set(bool(asked & {"model", "language"}), "model", event.model)
    yield _set(bool(asked & {"model", "language"}), "language", event.language)
    for track in event.tracks:
        speaker, label = event.speakers.get(track, ""), event.parameters.get(f"{track}_label", "")
        yield _set(speaker != "" and speaker == label.strip(), f"speaker:{track}", speaker)
    for name, value in event.parameters.items():
        yield _set(name in asked, f"parameter:{name}", value)


def _set(asked: bool, field: str, value: str) -> Change:
    """What a stream asks for counts; what it leaves to default only where no stream of the call has set it."""
    return Change("HSET" if asked else "HSETNX", field, value)


def summary(call_sid: str, stored: Mapping[str, str]) -> Call:
    """The summary in a call's hash."""
    started_ms = int(stored.get("started_at_ms", 0))
    ended_at = stored.get("ended_at")
    status: Any = stored.get("status", "")
    return {
        "call_sid": call_sid,
        "status": status,
        "account_sid": stored.get("account_sid", ""),
        "started_at": iso_time(started_ms / 1000),
        "started_at_ms": started_ms,
        "ended_at": ended_at,
        "end_reason": stored.get("end_reason"),
        "duration_ms": None if ended_at is None else max(0, _epoch_ms(ended_at) - started_ms),
        "model": stored.get("model", ""),
        "language": stored.get("language", ""),
        "tracks": {
            track: {
                "speaker": speaker,
                "talk_ms": int(stored.get(f"talk_ms:{track}", 0)),
                "audio_ms": int(stored.get(f"audio_ms:{track}", 0)),
            }
            for track, speaker in sorted(_below("speaker:", stored))
        },
        "parameters": dict(sorted(_below("parameter:", stored))),
        "streams": int(stored.get("streams", 0)),
        "finals": int(stored.get("finals", 0)),
        "words": int(stored.get("words", 0)),
        "dtmf": int(stored.get("dtmf", 0)),
        "gaps": int(stored.get("gaps", 0)),
        "gap_ms": int(stored.get("gap_ms", 0)),
        "errors": int(stored.get("errors", 0)),
        "last_seq": int(stored.get("seq", 0)),
    }


def _below(prefix: str, stored: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((name.removeprefix(prefix), value) for name, value in stored.items() if name.startswith(prefix))


def _epoch_ms(at: str) -> int:
    return round(datetime.fromisoformat(at).timestamp() * 1000)
