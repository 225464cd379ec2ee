"""Warm recognizers, lent to one track after another: the last one given back is the first to go out again.

All of it blocks, and belongs to one thread.
"""

import logging
import time
from collections.abc import Callable, Sequence

from transcriber.audio.chunk import SAMPLE_RATE_HZ
from transcriber.audio.upsampling import upsample, upsampler
from transcriber.recognition.chunk_schedule import ChunkSchedule, measure_chunk_schedule
from transcriber.recognition.ports import Engine, Recognizer

log = logging.getLogger(__name__)
BLOCK_SAMPLES = SAMPLE_RATE_HZ // 10
OLD_S = 600.0
"""A recognizer that has heard so much audio is let go. What it has composed of a dynamic graph only grows, by 260 MB
with the Korean model; most of the gain in speed is there after some seconds, all of it after five minutes."""
UNUSED_S = 600.0
"""One that was idle for so long was made for a load that is over."""


class RecognizerPool:
    """Keeps up to `keep` idle recognizers, and of those that nobody has used for UNUSED_S only `least`.

    What is given back beyond that, or too old, is let go (the bound and its policy).
    """

    def __init__(
        self, engine: Engine, *, keep: int, least: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.engine = engine
        self.chunk_schedule: ChunkSchedule | None = None
        """Of its recognizers; None before they were warmed, or where it cannot be found."""
        self._keep = keep
        self._least = least
        self._clock = clock
        self._idle: list[tuple[Recognizer, float]] = []
        """Each with the time since when; the longest idle first."""
        self._heard_s: dict[Recognizer, float] = {}
        self._lent = 0

    @property
    def idle(self) -> int:
        """How many are waiting."""
        return len(self._idle)

    @property
    def lent(self) -> int:
        """How many are in use."""
        return self._lent

    def take(self, grammar: Sequence[str] = ()) -> Recognizer:
        """A recognizer with nothing of an earlier track in it: the warmest there is, else a new one.

        With a grammar always a new one, that is not given back but dropped.
        """
        self._lent += 1
        if self._idle and not grammar:
            return self._idle.pop()[0]
        try:
            return self.engine.create(grammar)
        except BaseException:
            self.drop()
            raise

    def give(self, recognizer: Recognizer, *, heard_s: float) -> None:
        """Take back a recognizer whose `finish` was called, and that has heard so many seconds of audio."""
        now = self._clock()
        self._lent -= 1
        heard_s += self._heard_s.pop(recognizer, 0.0)
        if heard_s < OLD_S and len(self._idle) < self._keep:
            self._heard_s[recognizer] = heard_s
            self._idle.append((recognizer, now))
        while len(self._idle) > self._least and now - self._idle[0][1] > UNUSED_S:
            del self._heard_s[self._idle.pop(0)[0]]

    def drop(self, recognizer: Recognizer | None = None) -> None:
        """A lent recognizer will not come back, or could not be made."""
        self._lent -= 1
        if recognizer is not None:
            self._heard_s.pop(recognizer, None)

    def warm(self, count: int, speech: bytes) -> None:
        """Make `count` recognizers and let each decode the speech (8 kHz mu-law) once.

        Large models compose their graph while they decode: a cold recognizer costs several times more than a warm one.
        """
        warmed = [self.take() for _ in range(max(1, count))]
        self.chunk_schedule = measure_chunk_schedule(warmed[0], upsample(speech, self.engine.band))
        for recognizer in warmed[1:]:
            decode(recognizer, speech, self.engine)
        for recognizer in warmed:
            self.give(recognizer, heard_s=len(speech) / SAMPLE_RATE_HZ)

    def cost(self, speech: bytes) -> float:
        """CPU seconds that a warm recognizer needs for a second of speech (8 kHz mu-law) that it has not heard yet."""
        recognizer = self.take()
        cost = decode(recognizer, speech, self.engine)
        self.give(recognizer, heard_s=len(speech) / SAMPLE_RATE_HZ)
        log.info("a warm recognizer of %s takes %.3f CPU s per s of speech", self.engine.model, cost)
        return cost


def decode(recognizer: Recognizer, mulaw: bytes, engine: Engine) -> float:
    """Feed a whole recording; CPU seconds of this thread per second of audio."""
    resampler = upsampler(engine.band)
    before = time.thread_time()
    for start in range(0, len(mulaw), BLOCK_SAMPLES):
        if recognizer.accept(resampler.push(mulaw[start : start + BLOCK_SAMPLES])):
            recognizer.result()
        recognizer.partial(settled=True)
    recognizer.finish()
    return (time.thread_time() - before) / max(1.0, len(mulaw) / SAMPLE_RATE_HZ)
