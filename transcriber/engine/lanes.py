"""Fair recognition: one lane per track, a few worker threads, no lane on two threads at once.

The event loop offers audio and never waits. A lane with CHUNK of audio queues up for a worker; the lane that has waited
longest goes first, is fed what it has (TURN at most, so that a long backlog starves nobody) and queues up again behind
the others. Whether a lane queues up is decided on the event loop alone, so there is no lock.

Recognizers are fed blocks of exactly BLOCK of the track's audio, however it arrived: words do not depend on frames or
load. A lane holds mu-law, 8 KB a second.
"""

import asyncio
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence

from transcriber.core.audio import RATE, Upsampler
from transcriber.core.utterance import Draft, Listener, Utterance
from transcriber.engine.pool import RecognizerPool
from transcriber.ports import Recognizer

log = logging.getLogger(__name__)

CHUNK = RATE // 10
"""Samples at 8 kHz that make a lane queue up."""
BLOCK_BYTES = 2 * 2 * RATE // 10
"""Bytes of 16 kHz PCM that a recognizer is fed at a time: 100 ms."""
TURN = RATE
"""Samples at 8 kHz fed in one turn."""
LONGEST_BACKLOG = 600 * RATE
"""A lane's bound, ten minutes. Beyond it new audio is refused, and the session reports the gap."""

Heard = Sequence[Draft | Utterance]


class Lane:
    """The ordered recognition of one track. Every public method belongs to the event loop's thread."""

    def __init__(self, lanes: "Lanes", tell: Callable[[Heard], None], *, partials: bool) -> None:
        self.pending = 0
        """Samples at 8 kHz that wait or are being recognised."""
        self._lanes = lanes
        self._tell = tell
        self._audio: deque[tuple[bytes, int]] = deque()
        self._queued = False
        self._finishing = False
        self._done: asyncio.Future[None] = lanes.loop.create_future()
        self._ear = _Ear(lanes.pool, partials=partials)

    def offer(self, payload: bytes, at: int) -> bool:
        """Mu-law and the position of its first sample. False: the backlog is full (or the lane failed), not taken."""
        if self.pending + len(payload) > LONGEST_BACKLOG or self._done.done():
            return False
        self._audio.append((payload, at))
        self.pending += len(payload)
        if not self._queued and self.pending >= CHUNK:
            self._queue_up()
        return True

    def finish(self) -> asyncio.Future[None]:
        """No more audio. Done when all of it was recognised and told; raises what recognition raised."""
        if not self._finishing:
            self._finishing = True
            if not self._queued and not self._done.done():
                self._queue_up()
        return self._done

    def _queue_up(self) -> None:
        self._queued = True
        self._lanes.ready.put(self)

    def take_turn(self) -> None:
        """On a worker: recognise what is there, then report to the event loop."""
        finishing = self._finishing
        spans = []
        taken = 0
        while taken < TURN and self._audio:
            spans.append(self._audio.popleft())
            taken += len(spans[-1][0])
        last = finishing and not self._audio
        error: Exception | None = None
        heard: Heard = ()
        try:
            heard = self._ear.hear(spans, last=last)
        except Exception as problem:  # a worker outlives a lane; the session is told
            log.exception("recognition failed")
            self._ear.give_up()
            error = problem
        self._lanes.report(self._turn_over, heard, taken, last, error)

    def _turn_over(self, heard: Heard, taken: int, last: bool, error: Exception | None) -> None:
        self._queued = False
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
        elif self._finishing or self.pending >= CHUNK:
            self._queue_up()


class _Ear:
    """The worker's side of a lane: upsampling, recognition, and what is worth telling. One thread at a time."""

    def __init__(self, pool: RecognizerPool, *, partials: bool) -> None:
        self._pool = pool
        self._partials = partials
        self._listener = Listener()
        self._upsampler = Upsampler(pool.engine.band)
        self._pcm = bytearray()
        self._recognizer: Recognizer | None = None

    def hear(self, spans: Sequence[tuple[bytes, int]], *, last: bool) -> Heard:
        """Feed the spans; at the end of the track also the rest, and give the recognizer back."""
        for payload, at in spans:
            self._pcm += self._upsampler.push(payload)
            self._listener.clock.feed(len(payload), at)
        if last:
            self._pcm += self._upsampler.flush()
        if self._recognizer is None and (len(self._pcm) >= BLOCK_BYTES or (last and self._pcm)):
            self._recognizer = self._pool.take()
        recognizer = self._recognizer
        if recognizer is None:
            return ()
        heard = self._feed(recognizer)
        if last:
            heard += self._close(recognizer)
        elif self._partials:
            heard.append(self._listener.hear(recognizer.partial()))
        return [item for item in heard if item is not None and (self._partials or isinstance(item, Utterance))]

    def give_up(self) -> None:
        """After a failure: the recognizer is not used again."""
        if self._recognizer is not None:
            self._recognizer = None
            self._pool.drop()

    def _feed(self, recognizer: Recognizer) -> list[Draft | Utterance | None]:
        heard: list[Draft | Utterance | None] = []
        while len(self._pcm) >= BLOCK_BYTES:
            block = bytes(self._pcm[:BLOCK_BYTES])
            del self._pcm[:BLOCK_BYTES]
            if (ended := recognizer.accept(block)) is not None:
                heard.append(self._listener.close(ended))
        return heard

    def _close(self, recognizer: Recognizer) -> list[Draft | Utterance | None]:
        ended = recognizer.accept(bytes(self._pcm)) if self._pcm else None
        self._pcm.clear()
        heard = [self._listener.close(ended)] if ended is not None else []
        heard.append(self._listener.close(recognizer.finish()))
        self._recognizer = None
        self._pool.give(recognizer)
        return heard


class Lanes:
    """The worker threads. Made on the event loop's thread, closed off it."""

    def __init__(self, pool: RecognizerPool, *, workers: int) -> None:
        self.pool = pool
        self.loop = asyncio.get_running_loop()
        self.ready: queue.SimpleQueue[Lane | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"recognition-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def open(self, tell: Callable[[Heard], None], *, partials: bool) -> Lane:
        """A lane for one track; `tell` is called on the event loop with what was heard, in order."""
        return Lane(self, tell, partials=partials)

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
