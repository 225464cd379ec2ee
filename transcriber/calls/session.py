"""One live stream, from its start message until its last event is written.

A session joins the wire, one recognition queue per track, and the outbox. Its states:
LIVE -(stop, close, callback, inactivity, shutdown)-> FINISHING -> GONE. The reading side never waits for recognition or
for Redis.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from enum import Enum, auto

from transcriber.audio.chunk import SAMPLE_RATE_HZ, AudioChunk
from transcriber.calls.final_delay import FinalDelay
from transcriber.errors import RecognitionError
from transcriber.events.factory import Fact, StreamEventFactory
from transcriber.events.schema import iso_time
from transcriber.outbox.ports import Outbox
from transcriber.recognition.results import FinalResult, RecognitionResults
from transcriber.recognition.service import StreamRecognition
from transcriber.recognition.supervisor.track_queue import TrackQueue
from transcriber.telephony.media_stream import MediaStream, Outcome
from transcriber.telephony.outcomes import AudioGap, DtmfReceived, StreamFault
from transcriber.telephony.twilio.messages import Start

TICK_S = 0.25
"""Seconds between two calls of `Session.tick`."""
STALLED_TICKS = 8
"""A track without a frame for so many ticks has stalled: its utterance ends. A longer endpoint needs more ticks."""


class SessionState(Enum):
    """Where a session is in its life."""

    LIVE = auto()
    FINISHING = auto()
    GONE = auto()


class Session:
    """A live stream. All methods belong to the event loop's thread."""

    def __init__(
        self,
        start: Start,
        received: MediaStream,
        *,
        recognition: StreamRecognition,
        outbox: Outbox,
        speakers: Mapping[str, str],
        delay: FinalDelay,
    ) -> None:
        model = recognition.model.info
        self.start = start
        self.received = received
        self.state = SessionState.LIVE
        self.ending: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done, with the reason, when somebody other than the sender ends the stream."""
        self._delay = delay
        self._faults: Counter[str] = Counter()
        self._ending_soon: asyncio.Task[None] | None = None
        self._event_factory = StreamEventFactory(
            start=start,
            speakers=speakers,
            language=model.language,
            model=model.name,
            unknown_words=recognition.unknown_words,
        )
        call_started, stream_started = self._event_factory.started(_now())
        self._sink = outbox.open_stream(
            call_started,
            stream_started,
            at_ms=time.time_ns() // 1_000_000,
            on_refused=self.end,
            on_final=delay.published,
        )
        self._queues: dict[str, TrackQueue] = {
            track: recognition.track_queue(self._results_of(track), self._recognition_failed) for track in start.tracks
        }
        self._stalled_ticks = max(STALLED_TICKS, math.ceil(recognition.options.endpoint_ms / 1000 / TICK_S))
        self._progress = dict.fromkeys(start.tracks, (0, 0))
        """By track: milliseconds of audio received up to the latest tick, and for how many ticks there was no more."""
        for fault in (*start.faults, *recognition.faults):
            self.report(fault)

    @property
    def lag_s(self) -> dict[str, float]:
        """Seconds of audio received and not yet recognised, by track."""
        return {track: queue.pending_samples / SAMPLE_RATE_HZ for track, queue in self._queues.items()}

    @property
    def backlog_s(self) -> float:
        """The lag of the track that has most, in seconds."""
        return max(self.lag_s.values())

    @property
    def faults(self) -> Counter[str]:
        """What was wrong with the stream, by code."""
        return self.received.faults + self._faults

    def receive(self, outcome: Outcome) -> None:
        """Take what the wire said. Never waits."""
        match outcome:
            case AudioChunk():
                self.receive_audio(outcome)
            case AudioGap() | DtmfReceived() | StreamFault():
                self._emit(outcome)

    def receive_audio(self, chunk: AudioChunk) -> None:
        """The same for audio, which nearly everything is."""
        self._sink.record_audio(chunk)
        if not self._queues[chunk.track].offer(chunk):
            self.report(StreamFault("audio_refused", "recognition is too far behind or failed: audio was lost"))

    def tick(self) -> None:
        """To be called every TICK_S: ends the utterance of a track whose frames have stopped (mute, a leg that left).

        Ticks are counted, not seconds: when this process was held up, the frames are there and not read yet.
        """
        self._delay.tick(self.received.end_ms)
        for track, audio_ms in self.received.audio_ms().items():
            known_ms, ticks = self._progress[track]
            ticks = ticks + 1 if audio_ms == known_ms else 0
            self._progress[track] = audio_ms, ticks
            if ticks >= self._stalled_ticks and self.state is SessionState.LIVE:
                self._queues[track].end_utterance()

    def report(self, fault: StreamFault) -> None:
        """Count a fault of ours; its code's first time becomes a stream.error event."""
        self._faults[fault.code] += 1
        if self._faults[fault.code] == 1:
            self._emit(fault)

    def end(self, reason: str) -> None:
        """Ask whoever reads the stream to finish it."""
        if not self.ending.done():
            self.ending.set_result(reason)

    def end_if_quiet(self, reason: str, quiet_s: float, last_message_at: Callable[[], float]) -> None:
        """End the stream once nothing came for `quiet_s`; messages on their way may take that long.

        `last_message_at` says when a message last came, on the monotonic clock. A stream on which messages come for
        longer lives on, and a stream.error says so.
        """
        if self._ending_soon is None and self.state is SessionState.LIVE:
            self._ending_soon = asyncio.create_task(self._end_if_quiet(reason, quiet_s, last_message_at))

    async def _end_if_quiet(self, reason: str, quiet_s: float, last_message_at: Callable[[], float]) -> None:
        for _ in range(2):
            since = time.monotonic()
            await asyncio.sleep(quiet_s)
            if last_message_at() <= since:
                self.end(reason)
                return
        self.report(StreamFault("still_sending", "a status callback called the stream over, but audio goes on"))
        self._ending_soon = None

    async def finish(self, reason: str, *, within_s: float) -> None:
        """No more audio: recognise the rest for `within_s` at most, write everything and the end, release all.

        Audio that was not recognised by then becomes a stream.error.
        """
        if self.state is not SessionState.LIVE:
            return
        for outcome in self.received.flush():
            self.receive(outcome)
        self.state = SessionState.FINISHING
        if self._ending_soon is not None:
            self._ending_soon.cancel()
        try:
            await self._recognise_rest(within_s)
            stream_stopped, call_ended = self._event_factory.stopped(
                reason, audio_ms=self.received.audio_ms(), errors=dict(self.faults), at=_now()
            )
            await self._sink.close(stream_stopped, call_ended)
        finally:
            self.state = SessionState.GONE

    async def _recognise_rest(self, within_s: float) -> None:
        finishing = [queue.finish() for queue in self._queues.values()]
        _, late = await asyncio.wait(finishing, timeout=within_s)
        if late:
            self.report(StreamFault("recognition_late", "recognition took too long: the last words are missing"))

    def _recognition_failed(self, error: RecognitionError) -> None:
        if self.state is not SessionState.GONE:
            self._sink.set_audio_aside()
            self.report(StreamFault("recognition_failed", f"{error}: words are missing"))

    def _results_of(self, track: str) -> Callable[[RecognitionResults], None]:
        """What the track's queue hands its results to: finals are kept and published, partials only published."""

        def publish(results: RecognitionResults) -> None:
            for result in results:
                if isinstance(result, FinalResult):
                    self._emit(result, track)
                else:
                    self._sink.send_partial(self._event_factory.partial(result, track, at=_now()))

        return publish

    def _emit(self, fact: Fact, track: str = "") -> None:
        """Keep and publish a fact as an event; `track` is that of a result."""
        self._sink.send(self._event_factory.event(fact, track, at=_now()))


def _now() -> str:
    return iso_time(time.time())
