"""Tells one stream's story: what was noted becomes events and partials, in the order in which it was noted.

Nothing waits here; how they reach the store is the delivery's business. Times are those of the stream.
"""

import time
from collections.abc import Mapping

from transcriber.audio.chunk import AudioChunk
from transcriber.events.factory import Fact, StreamEventFactory
from transcriber.events.schema import iso_time
from transcriber.outbox.ports import EventSink, OnRefused, Outbox
from transcriber.recognition.utterance_tracker import PartialResult


class EventEmitter:
    """The writer of one stream. All methods belong to the event loop's thread."""

    def __init__(self, identity: StreamEventFactory, outbox: Outbox, *, refuse: OnRefused) -> None:
        self._identity = identity
        call, stream = identity.started(_now())
        self._delivery: EventSink = outbox.open_stream(
            call, stream, at_ms=time.time_ns() // 1_000_000, on_refused=refuse
        )

    def emit(self, fact: Fact, track: str = "") -> None:
        """Something to be kept and published; `track` is an utterance's."""
        self._delivery.send(self._identity.event(fact, track, at=_now()))

    def emit_partial(self, draft: PartialResult, track: str) -> None:
        """Something to be published only; replaces what waits of the same track."""
        self._delivery.send_partial(self._identity.partial(draft, track, at=_now()))

    def record_audio(self, chunk: AudioChunk) -> None:
        """Audio that is going to be recognised, for the journal."""
        self._delivery.record_audio(chunk)

    async def close(self, reason: str, *, audio_ms: Mapping[str, int], faults: Mapping[str, int]) -> None:
        """The end of the stream. Returns when all of it is written, or safe and on its way."""
        stream, call = self._identity.stopped(reason, audio_ms=audio_ms, errors=faults, at=_now())
        await self._delivery.close(stream, call)


def _now() -> str:
    return iso_time(time.time())
