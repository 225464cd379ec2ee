"""One stream's owner: joins the wire, a lane per track and the scribe, from the start message until all is written.

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
from transcriber.calls.event_emitter import EventEmitter
from transcriber.events.factory import StreamEventFactory
from transcriber.outbox.ports import Outbox
from transcriber.recognition.decode_scheduler import TrackQueue
from transcriber.recognition.service import StreamRecognition
from transcriber.recognition.track_decoder import RecognitionResults
from transcriber.recognition.utterance_tracker import FinalResult
from transcriber.telephony.media_stream import MediaStream, Outcome
from transcriber.telephony.outcomes import AudioGap, DtmfReceived, StreamFault
from transcriber.telephony.twilio.messages import Start

TICK_S = 0.25
STILL_TICKS = 8
"""So many ticks without a frame end an utterance, unless its endpoint is longer: networks stall, too."""


class State(Enum):
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
        hearing: StreamRecognition,
        outbox: Outbox,
        speakers: Mapping[str, str],
    ) -> None:
        engine = hearing.pool.engine
        self.start = start
        self.received = received
        self.state = State.LIVE
        self.ending: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done, with the reason, when somebody other than the sender ends the stream."""
        self._faults: Counter[str] = Counter()
        self._soon: asyncio.Task[None] | None = None
        self._scribe = EventEmitter(
            StreamEventFactory(
                start=start,
                speakers=speakers,
                language=engine.language,
                model=engine.model,
                unknown_words=hearing.unknown_words,
            ),
            outbox,
            refuse=self.end,
        )
        self._lanes: dict[str, TrackQueue] = {
            track: hearing.track_queue(self._listener(track)) for track in start.tracks
        }
        self._still_ticks = max(STILL_TICKS, math.ceil(hearing.manner.endpoint_ms / 1000 / TICK_S))
        self._still = dict.fromkeys(start.tracks, (0, 0))
        """By track the audio received up to the latest tick, and for how many ticks it has been all."""
        for fault in hearing.faults:
            self.report(fault)

    @property
    def lag_s(self) -> dict[str, float]:
        """Seconds of audio received and not yet recognised, by track."""
        return {track: lane.pending / SAMPLE_RATE_HZ for track, lane in self._lanes.items()}

    @property
    def backlog_s(self) -> float:
        """The same of the track that has most."""
        return max(self.lag_s.values())

    @property
    def faults(self) -> Counter[str]:
        """What was wrong with the stream, by code."""
        return self.received.faults + self._faults

    def receive(self, outcome: Outcome) -> None:
        """Take what the wire said. Never waits."""
        match outcome:
            case AudioChunk():
                self._scribe.record_audio(outcome)
                if not self._lanes[outcome.track].offer(outcome):
                    self.report(StreamFault("audio_refused", "recognition is too far behind or failed: audio was lost"))
            case AudioGap() | DtmfReceived() | StreamFault():
                self._scribe.emit(outcome)

    def tick(self) -> None:
        """To be called every TICK_S: a track whose frames have stopped (mute, a leg that left) is told so.

        Ticks are counted, not seconds: when this process was held up, the frames are there and not read yet.
        """
        for track, audio_ms in self.received.audio_ms().items():
            known_ms, ticks = self._still[track]
            ticks = ticks + 1 if audio_ms == known_ms else 0
            self._still[track] = audio_ms, ticks
            if ticks >= self._still_ticks and self.state is State.LIVE:
                self._lanes[track].end_utterance()

    def report(self, fault: StreamFault) -> None:
        """Count a fault of ours; its code's first time becomes a stream.error event."""
        self._faults[fault.code] += 1
        if self._faults[fault.code] == 1:
            self._scribe.emit(fault)

    def end(self, reason: str) -> None:
        """Ask whoever reads the stream to finish it."""
        if not self.ending.done():
            self.ending.set_result(reason)

    def end_if_quiet(self, reason: str, quiet_s: float, heard_at: Callable[[], float]) -> None:
        """The same once nothing came for `quiet_s`; `heard_at` tells when something last did, on the monotonic clock.

        What was on its way may come that long. A stream on which things come for longer lives, and says so.
        """
        if self._soon is None and self.state is State.LIVE:
            self._soon = asyncio.create_task(self._end_if_quiet(reason, quiet_s, heard_at))

    async def _end_if_quiet(self, reason: str, quiet_s: float, heard_at: Callable[[], float]) -> None:
        for _ in range(2):
            since = time.monotonic()
            await asyncio.sleep(quiet_s)
            if heard_at() <= since:
                self.end(reason)
                return
        self.report(StreamFault("still_sending", "a status callback called the stream over, but audio goes on"))
        self._soon = None

    async def finish(self, reason: str, *, within_s: float) -> None:
        """No more audio: recognise the rest for `within_s` at most, write everything and the end, release all.

        Audio that was not recognised by then becomes a stream.error.
        """
        if self.state is not State.LIVE:
            return
        for outcome in self.received.flush():
            self.receive(outcome)
        self.state = State.FINISHING
        if self._soon is not None:
            self._soon.cancel()
        try:
            await self._recognise_rest(within_s)
            await self._scribe.close(reason, audio_ms=self.received.audio_ms(), faults=dict(self.faults))
        finally:
            self.state = State.GONE

    async def _recognise_rest(self, within_s: float) -> None:
        finishing = [lane.finish() for lane in self._lanes.values()]
        done, late = await asyncio.wait(finishing, timeout=within_s)
        if late:
            self.report(StreamFault("recognition_late", "recognition took too long: the last words are missing"))
        if any(lane.exception() for lane in done):
            self.report(StreamFault("recognition_failed", "recognition of a track failed: words may be missing"))

    def _listener(self, track: str) -> Callable[[RecognitionResults], None]:
        def tell(heard: RecognitionResults) -> None:
            for item in heard:
                if isinstance(item, FinalResult):
                    self._scribe.emit(item, track)
                else:
                    self._scribe.emit_partial(item, track)

        return tell
