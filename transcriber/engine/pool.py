"""Warm recognizers, lent to one track after another: the last one given back is the first to go out again.

All of it blocks; only worker threads may call in here.
"""

import logging
import threading
import time
from collections.abc import Sequence

from transcriber.core.audio import RATE, Upsampler
from transcriber.ports import Engine, Recognizer

log = logging.getLogger(__name__)
BLOCK = RATE // 10


class RecognizerPool:
    """Keeps up to `keep` idle recognizers; what is given back beyond that is let go (the bound and its policy)."""

    def __init__(self, engine: Engine, *, keep: int) -> None:
        self.engine = engine
        self._keep = keep
        self._lock = threading.Lock()
        self._idle: list[Recognizer] = []
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
        with self._lock:
            self._lent += 1
            if self._idle and not grammar:
                return self._idle.pop()
        try:
            return self.engine.create(grammar)
        except BaseException:
            self.drop()
            raise

    def give(self, recognizer: Recognizer) -> None:
        """Take back a recognizer whose `finish` was called."""
        with self._lock:
            self._lent -= 1
            if len(self._idle) < self._keep:
                self._idle.append(recognizer)

    def drop(self) -> None:
        """A lent recognizer will not come back."""
        with self._lock:
            self._lent -= 1

    def warm(self, count: int, speech: bytes) -> float:
        """Make `count` recognizers and let each decode the speech (8 kHz mu-law) once.

        Large models compose their graph while they decode: a cold recognizer costs several times more than a warm one.
        Returns the CPU seconds that a warm one needs for a second of this speech, for the estimate of the capacity.
        """
        warmed = [self.take() for _ in range(max(1, count))]
        for recognizer in warmed:
            decode(recognizer, speech, self.engine)
        cost = decode(warmed[-1], speech, self.engine)
        for recognizer in warmed:
            self.give(recognizer)
        log.info("%d recognizers of %s are warm: %.3f CPU s per s of speech", count, self.engine.model, cost)
        return cost


def decode(recognizer: Recognizer, mulaw: bytes, engine: Engine) -> float:
    """Feed a whole recording; CPU seconds of this thread per second of audio."""
    upsampler = Upsampler(engine.band)
    before = time.thread_time()
    for start in range(0, len(mulaw), BLOCK):
        if recognizer.accept(upsampler.push(mulaw[start : start + BLOCK])):
            recognizer.result()
        recognizer.partial(settled=True)
    recognizer.finish()
    return (time.thread_time() - before) / max(1.0, len(mulaw) / RATE)
