"""One track's clock: where each frame lies, what is missing, and where each recognised word was spoken.

Positions are samples at 8 kHz on the stream's clock (0 = the stream's start), so that nothing is rounded twice.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import msgspec

from transcriber.audio.chunk import SAMPLES_PER_MS
from transcriber.audio.g711 import SILENCE

STEADY = 10 * SAMPLES_PER_MS
"""Real timestamps are off by some milliseconds: nothing is done about less than this."""
HOLE = 40 * SAMPLES_PER_MS
"""From two frames on, a jump of the timestamps means that audio is missing."""
LEAP = 2000 * SAMPLES_PER_MS
"""A larger jump, a leap, is believed when the next frame agrees; and no more silence than this is fed for one hole."""
SLEW_EVERY = 100 * SAMPLES_PER_MS
"""Clocks drift: one sample is given or taken per so many, 1250 ppm."""


class Span(msgspec.Struct, frozen=True, gc=False):
    """Audio and the position of its first sample."""

    payload: bytes
    at: int


@dataclass(frozen=True, slots=True)
class ClockGap:
    """Positions between which audio is missing."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ImplausibleTimestamp:
    """A timestamp that fits nothing was passed over; its audio was not."""

    off_ms: int


class TrackClock:
    """Places frames in their order of arrival. Audio is never dropped; holes become silence, bounded by LEAP."""

    def __init__(self) -> None:
        self.end = 0
        """Position behind the last frame; 0 before the first."""
        self._begun = False
        self._skew = 0
        self._leaping: Span | None = None
        """A frame behind a leap that is not believed yet, and where its timestamp puts it."""
        self._since_slew = 0

    def align(self, payload: bytes, timestamp_ms: int | None) -> list[Span | ClockGap | ImplausibleTimestamp]:
        """What one frame means, in order: perhaps a strange timestamp, a hole and its silence, then its audio.

        A frame whose timestamp leaps comes out with the next one, which tells where it lies, or as the rest.
        """
        if not self._begun:
            self._begun = True
            self.end = (timestamp_ms or 0) * SAMPLES_PER_MS
        placed = [] if self._leaping is None else self._believe(timestamp_ms, self._leaping)
        if timestamp_ms is not None:
            at = timestamp_ms * SAMPLES_PER_MS - self._skew
            drift = at - self.end
            if abs(drift) < HOLE:
                self._slew(drift, len(payload))
            elif 0 < drift <= LEAP:
                placed += self._hole(at)
            else:
                self._leaping = Span(payload, at)
                return placed
        return placed + self._next(payload)

    def flush(self) -> list[Span | ClockGap | ImplausibleTimestamp]:
        """The track is over: the frame that waits for another, which never came, if there is one."""
        return [] if self._leaping is None else self._believe(None, self._leaping)

    def _believe(self, timestamp_ms: int | None, first: Span) -> list[Span | ClockGap | ImplausibleTimestamp]:
        """Place a frame behind a leap, which is believed if the one after it agrees."""
        self._leaping = None
        leap = first.at - self.end
        agreed = (
            timestamp_ms is not None
            and abs(timestamp_ms * SAMPLES_PER_MS - self._skew - first.at - len(first.payload)) < HOLE
        )
        if agreed and leap > 0:
            return self._hole(first.at) + self._next(first.payload)
        if agreed:
            self._skew += leap
        return [ImplausibleTimestamp(leap // SAMPLES_PER_MS), *self._next(first.payload)]

    def _next(self, payload: bytes) -> list[Span | ClockGap | ImplausibleTimestamp]:
        if not payload:
            return []
        self.end += len(payload)
        return [Span(payload, self.end - len(payload))]

    def _slew(self, drift: int, length: int) -> None:
        self._since_slew += length
        if self._since_slew >= SLEW_EVERY:
            self._since_slew = 0
            if abs(drift) > STEADY:
                self.end += 1 if drift > 0 else -1

    def _hole(self, at: int) -> list[Span | ClockGap | ImplausibleTimestamp]:
        start, self.end = self.end, at
        silence = bytes([SILENCE]) * min(at - start, LEAP)
        return [ClockGap(start, at), Span(silence, start)]


class TimestampMapper:
    """From milliseconds fed to a recognizer to milliseconds of the stream.

    Audio is fed without its long holes, so the two run apart; the map keeps an anchor wherever they do.
    """

    def __init__(self) -> None:
        self.fed = 0
        """Samples fed so far."""
        self._fed: list[int] = []
        self._at: list[int] = []
        self._leapt = 0

    @property
    def leapt_ms(self) -> float:
        """Milliseconds fed before the latest leap: what was left out there takes HOLE or more."""
        return self._leapt / SAMPLES_PER_MS

    @property
    def fed_ms(self) -> float:
        """Milliseconds fed so far."""
        return self.fed / SAMPLES_PER_MS

    def feed(self, samples: int, at: int) -> None:
        """So many samples, the first of them at that position, are being fed."""
        leap = at - self._at[-1] - self.fed + self._fed[-1] if self._fed else at
        if leap or not self._fed:
            self._leapt = self.fed if abs(leap) >= HOLE else self._leapt
            self._fed.append(self.fed)
            self._at.append(at)
        self.fed += samples

    def start_ms(self, fed_ms: float) -> int:
        """Where something began; on an anchor it belongs to what follows."""
        return self._to_ms(fed_ms, bisect_right(self._fed, round(fed_ms * SAMPLES_PER_MS)) - 1)

    def end_ms(self, fed_ms: float) -> int:
        """Where something ended; on an anchor it belongs to what was before."""
        return self._to_ms(fed_ms, bisect_left(self._fed, round(fed_ms * SAMPLES_PER_MS)) - 1)

    def span_ms(self, start_ms: float, end_ms: float) -> tuple[int, int]:
        """Where something from one moment fed to another was said: on the side of a leap where most of it was heard.

        A recognizer knows of no leap, and may take the silence before it for the beginning of a word.
        """
        start, end = round(start_ms * SAMPLES_PER_MS), round(end_ms * SAMPLES_PER_MS)
        for anchor in range(max(1, bisect_right(self._fed, start)), bisect_left(self._fed, end)):
            border = self._fed[anchor]
            if abs(self._at[anchor] - border - self._at[anchor - 1] + self._fed[anchor - 1]) < HOLE:
                continue
            if border - start > end - border:
                end_ms = border / SAMPLES_PER_MS
                break
            start, start_ms = border, border / SAMPLES_PER_MS
        begin_ms = self.start_ms(start_ms)
        return begin_ms, max(begin_ms, self.end_ms(end_ms))

    def forget_before(self, fed_ms: float) -> None:
        """Nothing earlier will be asked for: keeps the map small over a long call."""
        keep = max(0, bisect_right(self._fed, round(fed_ms * SAMPLES_PER_MS)) - 1)
        del self._fed[:keep], self._at[:keep]

    def _to_ms(self, fed_ms: float, anchor: int) -> int:
        if not self._fed:
            return round(fed_ms)
        anchor = max(0, anchor)
        return max(0, round(fed_ms + (self._at[anchor] - self._fed[anchor]) / SAMPLES_PER_MS))
