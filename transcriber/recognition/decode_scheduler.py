"""Fair decoding: a queue per track, a few worker threads, no track on two threads at once.

The event loop offers audio and never waits. A queue with as much audio as its decoder waits for lines up for a worker;
the one that has waited longest goes first, is fed what it has (TURN_SAMPLES at most, so that a long backlog starves
nobody) and lines up again behind the others. Whether a queue lines up is decided on the event loop alone, so there is
no lock. When queues have to wait, what is fed at once grows (`LoadMonitor`). A queue holds mu-law, 8 KB a second.
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

TURN_SAMPLES = SAMPLE_RATE_HZ
"""Fed in one turn."""
MAX_BACKLOG_SAMPLES = 600 * SAMPLE_RATE_HZ
"""A queue's bound, ten minutes. Beyond it new audio is refused, and the session reports the fault."""
OnResults = Callable[[RecognitionResults], None]


class TrackQueue:
    """The ordered recognition of one track. All but `take_turn` belongs to the event loop's thread."""

    def __init__(self, scheduler: "DecodeScheduler", decoder: TrackDecoder, on_results: OnResults) -> None:
        self.pending_samples = 0
        """Samples at 8 kHz that wait or are being recognised."""
        self._scheduler = scheduler
        self._on_results = on_results
        self._decoder = decoder
        self._audio: deque[AudioChunk] = deque()
        self._queued = False
        self._due_samples = decoder.due_samples
        """What makes it line up."""
        self._finishing = False
        self._ending_utterance = False
        self._utterance_open = False
        """Whether an utterance may be going on, as of the latest turn."""
        self._done: asyncio.Future[None] = scheduler.loop.create_future()
        self._queued_at = 0.0

    def offer(self, chunk: AudioChunk) -> bool:
        """False: the backlog is full, or decoding has failed; the chunk was not taken."""
        pending_samples = self.pending_samples + len(chunk.payload)
        if pending_samples > self._scheduler.longest_backlog_samples or self._done.done():
            return False
        self._audio.append(chunk)
        self.pending_samples = pending_samples
        if not self._queued and self._ready():
            self._queue_up()
        return True

    def finish(self) -> asyncio.Future[None]:
        """No more audio. Done when all of it was recognised and reported; raises what recognition raised."""
        if not self._finishing:
            self._finishing = True
            if not self._queued and not self._done.done():
                self._queue_up()
        return self._done

    def end_utterance(self) -> None:
        """No audio has come for long: what was said so far becomes a final. To be repeated while it lasts."""
        idle = not (self._queued or self._finishing or self._done.done())
        if idle and (self._utterance_open or self.pending_samples):
            self._ending_utterance = True
            self._queue_up()

    def _ready(self) -> bool:
        return self.pending_samples >= max(self._due_samples, self._scheduler.load.min_turn_samples)

    def _queue_up(self) -> None:
        self._queued = True
        self._queued_at = time.monotonic()
        self._scheduler.ready.put(self)

    def take_turn(self) -> None:
        """On a worker: decode what is there, then report to the event loop."""
        waited_s = time.monotonic() - self._queued_at
        before_s = time.thread_time()
        finishing, ending = self._finishing, self._ending_utterance
        chunks: list[AudioChunk] = []
        taken = 0
        while taken < TURN_SAMPLES and self._audio:
            chunks.append(self._audio.popleft())
            taken += len(chunks[-1].payload)
        last = finishing and not self._audio
        error: Exception | None = None
        results: RecognitionResults = ()
        try:
            end_utterance, skip_lattice = ending and not self._audio, self._scheduler.load.skips_lattice
            results = self._decoder.feed(chunks, last=last, end_utterance=end_utterance, skip_lattice=skip_lattice)
        except Exception as problem:  # a worker outlives a track; the session learns of it
            log.exception("recognition failed")
            self._decoder.give_up()
            error = problem
        cpu_s = time.thread_time() - before_s
        self._scheduler.load.record(waited_s=waited_s, cpu_s=cpu_s, audio_s=taken / SAMPLE_RATE_HZ)
        self._scheduler.report(self._turn_over, results, taken, last, error)

    def _turn_over(self, results: RecognitionResults, taken: int, last: bool, error: Exception | None) -> None:
        self._queued = self._ending_utterance = False
        self._utterance_open = self._decoder.utterance_open
        self._due_samples = self._decoder.due_samples
        self.pending_samples -= taken
        if results:
            self._on_results(results)
        if error is not None:
            self._audio.clear()
            self.pending_samples = 0
            self._done.set_exception(error)
            self._done.exception()  # seen: the session may never ask
        elif last:
            self._done.set_result(None)
        elif self._finishing or self._ready():
            self._queue_up()


class DecodeScheduler:
    """The worker threads. Made on the event loop's thread, closed off it."""

    def __init__(self, *, workers: int, longest_backlog_samples: int = MAX_BACKLOG_SAMPLES) -> None:
        self.load = LoadMonitor()
        self.loop = asyncio.get_running_loop()
        self.longest_backlog_samples = longest_backlog_samples
        self.ready: queue.SimpleQueue[TrackQueue | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"recognition-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def open(
        self, pool: RecognizerPool, on_results: OnResults, *, options: RecognitionOptions | None = None
    ) -> TrackQueue:
        """A queue for one track; `on_results` is called on the event loop with what was recognised, in order."""
        return TrackQueue(self, TrackDecoder(pool, options or RecognitionOptions()), on_results)

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
        while (track := self.ready.get()) is not None:
            track.take_turn()
            del track  # waiting for the next one must not keep a finished call in memory
