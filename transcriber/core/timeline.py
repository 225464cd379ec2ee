"""One track's clock: where each frame lies, what is missing, and where each recognised word was spoken.

Positions are samples at 8 kHz on the stream's clock (0 = the stream's start), so that nothing is rounded twice.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import msgspec

from transcriber.core.audio import PER_MS, SILENCE

STEADY = 10 * PER_MS
"""Real timestamps are off by some milliseconds: nothing is done about less than this."""
HOLE = 40 * PER_MS
"""From two frames on, a jump of the timestamps means that audio is missing."""
LEAP = 2000 * PER_MS
"""A larger jump is believed when the next frame agrees; and no more silence than this is fed for one hole."""
SLEW_EVERY = 100 * PER_MS
"""Clocks drift: one sample is given or taken per so many, 1250 ppm."""


class Span(msgspec.Struct, frozen=True, gc=False):
    """Audio and the position of its first sample."""

    payload: bytes
    at: int


@dataclass(frozen=True, slots=True)
class Hole:
    """Positions between which audio is missing."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Strange:
    """A timestamp that fits nothing was passed over; its audio was not."""

    off_ms: int


class Timeline:
    """Places frames in their order of arrival. Audio is never dropped; holes become silence, bounded by LEAP."""

    def __init__(self) -> None:
        self.end = 0
        """Position behind the last frame; 0 before the first."""
        self._begun = False
        self._skew = 0
        self._expected_leap: int | None = None
        self._since_slew = 0

    def place(self, payload: bytes, timestamp_ms: int | None) -> list[Span | Hole | Strange]:
        """What one frame means, in order: perhaps a strange timestamp, a hole and its silence, then its audio."""
        if not self._begun:
            self._begun = True
            self.end = (timestamp_ms or 0) * PER_MS
        placed: list[Span | Hole | Strange] = []
        if timestamp_ms is not None:
            placed = self._follow(timestamp_ms * PER_MS - self._skew, len(payload))
        if payload:
            placed.append(Span(payload, self.end))
            self.end += len(payload)
        return placed

    def _follow(self, at: int, length: int) -> list[Span | Hole | Strange]:
        drift = at - self.end
        if abs(drift) < HOLE:
            return self._steady(drift, length)
        if drift <= LEAP and drift > 0:
            self._expected_leap = None
            return self._hole(at)
        if self._expected_leap is None or abs(at - self._expected_leap) >= HOLE:
            self._expected_leap = at + length
            return []
        self._expected_leap = None
        if drift > 0:
            return self._hole(at)
        self._skew += drift
        return [Strange(drift // PER_MS)]

    def _steady(self, drift: int, length: int) -> list[Span | Hole | Strange]:
        strange: list[Span | Hole | Strange] = []
        if self._expected_leap is not None:
            strange.append(Strange((self._expected_leap - self.end) // PER_MS))
            self._expected_leap = None
        self._since_slew += length
        if self._since_slew >= SLEW_EVERY:
            self._since_slew = 0
            if abs(drift) > STEADY:
                self.end += 1 if drift > 0 else -1
        return strange

    def _hole(self, at: int) -> list[Span | Hole | Strange]:
        start, self.end = self.end, at
        silence = bytes([SILENCE]) * min(at - start, LEAP)
        return [Hole(start, at), Span(silence, start)]


class ClockMap:
    """From milliseconds fed to a recognizer to milliseconds of the stream.

    Audio is fed without its long holes, so the two run apart; the map keeps an anchor wherever they do.
    """

    def __init__(self) -> None:
        self.fed = 0
        """Samples fed so far."""
        self._fed: list[int] = []
        self._at: list[int] = []

    @property
    def fed_ms(self) -> float:
        """Milliseconds fed so far."""
        return self.fed / PER_MS

    def feed(self, samples: int, at: int) -> None:
        """So many samples, the first of them at that position, are being fed."""
        if not self._fed or self._at[-1] + self.fed - self._fed[-1] != at:
            self._fed.append(self.fed)
            self._at.append(at)
        self.fed += samples

    def start_ms(self, fed_ms: float) -> int:
        """Where something began; on an anchor it belongs to what follows."""
        return self._to_ms(fed_ms, bisect_right(self._fed, round(fed_ms * PER_MS)) - 1)

    def end_ms(self, fed_ms: float) -> int:
        """Where something ended; on an anchor it belongs to what was before."""
        return self._to_ms(fed_ms, bisect_left(self._fed, round(fed_ms * PER_MS)) - 1)

    def forget_before(self, fed_ms: float) -> None:
        """Nothing earlier will be asked for: keeps the map small over a long call."""
        keep = max(0, bisect_right(self._fed, round(fed_ms * PER_MS)) - 1)
        del self._fed[:keep], self._at[:keep]

    def _to_ms(self, fed_ms: float, anchor: int) -> int:
        if not self._fed:
            return round(fed_ms)
        anchor = max(0, anchor)
        return max(0, round(fed_ms + (self._at[anchor] - self._fed[anchor]) / PER_MS))
