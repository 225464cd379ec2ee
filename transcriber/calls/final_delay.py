"""How long after the end of speech the finals of a stream are kept and published."""

import time
from collections.abc import Callable

from prometheus_client import Histogram

from transcriber.events.schema import Final

WINDOW_TICKS = 240
"""The stream's clock is taken from its frames of so many ticks and as many before them: one or two minutes."""


class FinalDelay:
    """One stream's. Belongs to the event loop's thread.

    `seconds`: what is told the delays, less the `endpoint_ms` for which silence is waited for, 0 at least. The zero of
    the stream's clock is the moment at which its first sample was spoken: of the latest frames the earliest is taken to
    have been on time. So neither a burst of frames nor a clock that drifts is a delay.
    """

    def __init__(self, seconds: Histogram, *, endpoint_ms: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._endpoint_ms = endpoint_ms
        self._clock = clock
        self._zero_ms = self._earlier_zero_ms = self._now_ms()
        """Moments of the monotonic clock: by this window's frames and by those of the window before."""
        self._end_ms = 0
        self._ticks = 0

    def tick(self, end_ms: int) -> None:
        """To be called every tick with the end of the audio received, on the stream's clock."""
        if end_ms == self._end_ms:
            return  # muted: nothing to set the clock by
        self._end_ms = end_ms
        zero_ms = self._now_ms() - end_ms
        self._ticks += 1
        if self._ticks % WINDOW_TICKS == 0:
            self._earlier_zero_ms, self._zero_ms = self._zero_ms, zero_ms
        self._zero_ms = min(self._zero_ms, zero_ms)

    def published(self, final: Final) -> None:
        """Redis has confirmed the final. Its times are those of the stream."""
        zero_ms = min(self._zero_ms, self._earlier_zero_ms)
        delay_ms = self._now_ms() - zero_ms - final.end_ms - self._endpoint_ms
        self._seconds.observe(max(0.0, delay_ms / 1000))

    def _now_ms(self) -> float:
        return self._clock() * 1000
