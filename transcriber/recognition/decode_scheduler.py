"""Fair recognition: one lane per track, a few worker threads, no lane on two threads at once.

The event loop offers audio and never waits. A lane with as much audio as its ear waits for queues up for a worker; the
lane that has waited longest goes first, is fed what it has (TURN at most, so that a long backlog starves nobody) and
queues up again behind the others. Whether a lane queues up is decided on the event loop alone, so there is no lock.
When lanes have to wait, chunks grow (`Pace`). A lane holds mu-law, 8 KB a second.
"""

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable

from transcriber.audio.chunk import SAMPLE_RATE_HZ, AudioChunk
from transcriber.recognition.load_monitor import LoadMonitor
from transcriber.recognition.options import RecognitionOptions
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.recognition.track_decoder import RecognitionResults, TrackDecoder

log = logging.getLogger(__name__)

TURN = SAMPLE_RATE_HZ
"""Samples at 8 kHz fed in one turn."""
LONGEST_BACKLOG = 600 * SAMPLE_RATE_HZ
"""A lane's bound, ten minutes. Beyond it new audio is refused, and the session reports the gap."""


class TrackQueue:
    """The ordered recognition of one track. Every public method belongs to the event loop's thread."""

    def __init__(self, lanes: "DecodeScheduler", ear: TrackDecoder, tell: Callable[[RecognitionResults], None]) -> None:
        self.pending = 0
        """Samples at 8 kHz that wait or are being recognised."""
        self._lanes = lanes
        self._tell = tell
        self._ear = ear
        self._audio: deque[AudioChunk] = deque()
        self._queued = False
        self._due = ear.due_samples
        """Samples that make it queue up."""
        self._finishing = False
        self._ending_utterance = False
        self._open = False
        """Whether an utterance may be going on, as of the latest turn."""
        self._done: asyncio.Future[None] = lanes.loop.create_future()
        self._queued_at = 0.0

    def offer(self, chunk: AudioChunk) -> bool:
        """False: the backlog is full (or the lane failed), not taken."""
        if self.pending + len(chunk.payload) > LONGEST_BACKLOG or self._done.done():
            return False
        self._audio.append(chunk)
        self.pending += len(chunk.payload)
        if not self._queued and self._ready():
            self._queue_up()
        return True

    def finish(self) -> asyncio.Future[None]:
        """No more audio. Done when all of it was recognised and told; raises what recognition raised."""
        if not self._finishing:
            self._finishing = True
            if not self._queued and not self._done.done():
                self._queue_up()
        return self._done

    def end_utterance(self) -> None:
        """No audio has come for long: what was said so far becomes an utterance. To be said again while it lasts."""
        if (self._open or self.pending) and not (self._queued or self._finishing or self._done.done()):
            self._ending_utterance = True
            self._queue_up()

    def _ready(self) -> bool:
        return self.pending >= max(self._due, self._lanes.load.chunk)

    def _queue_up(self) -> None:
        self._queued = True
        self._queued_at = time.monotonic()
        self._lanes.ready.put(self)

    def take_turn(self) -> None:
        """On a worker: recognise what is there, then report to the event loop."""
        waited_s = time.monotonic() - self._queued_at
        before_s = time.thread_time()
        finishing, ending = self._finishing, self._ending_utterance
        chunks = []
        taken = 0
        while taken < TURN and self._audio:
            chunks.append(self._audio.popleft())
            taken += len(chunks[-1].payload)
        last = finishing and not self._audio
        error: Exception | None = None
        heard: RecognitionResults = ()
        try:
            hurried = self._lanes.load.hurried
            end_utterance = ending and not self._audio
            heard = self._ear.feed(chunks, last=last, end_utterance=end_utterance, hurried=hurried)
        except Exception as problem:  # a worker outlives a lane; the session is told
            log.exception("recognition failed")
            self._ear.give_up()
            error = problem
        self._lanes.load.note(waited_s=waited_s, cpu_s=time.thread_time() - before_s, audio=taken)
        self._lanes.report(self._turn_over, heard, taken, last, error)

    def _turn_over(self, heard: RecognitionResults, taken: int, last: bool, error: Exception | None) -> None:
        self._queued = self._ending_utterance = False
        self._open = self._ear.utterance_open
        self._due = self._ear.due_samples
        self.pending -= taken
        if heard:
            self._tell(heard)
        if error is not None:
            self._audio.clear()
            self.pending = 0
            self._done.set_exception(error)
            self._done.exception()  # seen: the session may never ask
        elif last:
            self._done.set_result(None)
        elif self._finishing or self._ready():
            self._queue_up()


class DecodeScheduler:
    """The worker threads. Made on the event loop's thread, closed off it."""

    def __init__(self, *, workers: int) -> None:
        self.load = LoadMonitor()
        self.loop = asyncio.get_running_loop()
        self.ready: queue.SimpleQueue[TrackQueue | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"recognition-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def open(
        self,
        pool: RecognizerPool,
        tell: Callable[[RecognitionResults], None],
        *,
        manner: RecognitionOptions | None = None,
    ) -> TrackQueue:
        """A lane for one track; `tell` is called on the event loop with what was heard, in order."""
        return TrackQueue(self, TrackDecoder(pool, manner or RecognitionOptions()), tell)

    def report(self, turn_over: Callable[..., None], *outcome: object) -> None:
        """From a worker to the event loop."""
        try:
            self.loop.call_soon_threadsafe(turn_over, *outcome)
        except RuntimeError:
            log.warning("recognition went on after the event loop had closed")

    def close(self) -> None:
        """End the workers after what is queued. Blocks."""
        for _ in self._threads:
            self.ready.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (lane := self.ready.get()) is not None:
            lane.take_turn()
            del lane  # waiting for the next one must not keep a finished call in memory
