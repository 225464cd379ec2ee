"""Finishes the transcripts of streams whose server died: what is in their journals and not in history."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transcriber.audio.chunk import SAMPLE_RATE_HZ, SAMPLES_PER_MS, AudioChunk
from transcriber.errors import CallNotFound
from transcriber.events.factory import StreamEventFactory
from transcriber.events.schema import Persisted, iso_time, parse
from transcriber.outbox.audio_journal import read_audio
from transcriber.outbox.stream_writes import StreamOpened
from transcriber.recognition.results import FinalResult
from transcriber.runtime.time_slices import TimeSlices
from transcriber.store.ports import CallHistory
from transcriber.telephony.twilio.messages import Start

log = logging.getLogger(__name__)
CONTEXT_MS = 600_000
"""So much before the last final is decoded as well: a recognizer that has adapted to the voice finds the same words."""
SLACK_MS = 50
Retranscribe = Callable[
    [Mapping[str, str], Mapping[str, Sequence[AudioChunk]]], Awaitable[Sequence[tuple[str, FinalResult]]]
]
"""From custom parameters and audio by track to utterances and their tracks."""


@dataclass(frozen=True, slots=True)
class JournalRecovery:
    """`retranscribe`: from custom parameters and audio by track to utterances and their tracks."""

    history: CallHistory
    retranscribe: Retranscribe
    _time_slices: TimeSlices = field(default_factory=TimeSlices)

    async def missing_finals(self, header: StreamOpened, path: Path) -> list[Persisted]:
        """Finals of a journal's stream that history lacks; its own times. Raises StoreError, OSError, ModelError."""
        last = await self._last(header)
        after = {track: max(0, final.end_ms - CONTEXT_MS) * SAMPLES_PER_MS for track, final in last.items()}
        audio = await asyncio.to_thread(read_audio, path, after)
        seconds = sum(len(chunk.payload) for chunks in audio.values() for chunk in chunks) / SAMPLE_RATE_HZ
        log.warning("%.1f s of audio that a dead server had received are transcribed again", seconds)
        factory, at = _event_factory(header), iso_time(time.time())
        numbers = {track: final.utterance for track, final in last.items()}
        found = []
        for track, result in await self.retranscribe(header.stream.parameters, audio):
            end_ms = last[track].end_ms if track in last else 0
            words = tuple(word for word in result.words if word.start_ms >= end_ms - SLACK_MS)
            if words:
                numbers[track] = numbers.get(track, 0) + 1
                new = FinalResult(numbers[track], " ".join(word.word for word in words), words)
                found.append(factory.event(new, track, at=at))
        return found

    async def _last(self, header: StreamOpened) -> dict[str, "_Last"]:
        """The last final of each track that is in history."""
        offset_ms: int | None = None
        last: dict[str, Mapping[str, Any]] = {}
        try:
            async for page in self.history.pages(header.call.call_sid):
                for event in await self._time_slices.collect(map(parse, page)):
                    if event.get("stream_sid") != header.stream.stream_sid:
                        continue
                    if event.get("type") == "stream.started" and offset_ms is None:
                        offset_ms = event["start_ms"]
                    elif event.get("type") == "final":
                        last[event["track"]] = event
        except CallNotFound:
            return {}
        return {track: _Last(final["utterance"], final["end_ms"] - (offset_ms or 0)) for track, final in last.items()}


@dataclass(frozen=True, slots=True)
class _Last:
    utterance: int
    end_ms: int
    """On the stream's clock."""


def _event_factory(header: StreamOpened) -> StreamEventFactory:
    call, stream = header.call, header.stream
    start = Start(
        sequence=None,
        stream_sid=stream.stream_sid,
        call_sid=call.call_sid,
        account_sid=call.account_sid,
        tracks=stream.tracks,
        encoding="audio/x-mulaw",
        sample_rate=SAMPLE_RATE_HZ,
        channels=1,
        parameters=stream.parameters,
    )
    return StreamEventFactory(start=start, speakers=stream.speakers, language=stream.language, model=stream.model)
