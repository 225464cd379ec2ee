"""From milliseconds fed to a recognizer to milliseconds of the stream. Pure."""

from bisect import bisect_left, bisect_right

import msgspec

from transcriber.audio.chunk import SAMPLES_PER_MS
from transcriber.telephony.track_clock import MIN_GAP_SAMPLES


class TimestampSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """`fed` and `start` are the anchors' positions, in samples."""

    fed_samples: int
    fed: list[int]
    start: list[int]
    gap_fed: int


class TimestampMapper:
    """One track's. Audio is fed without its long pauses, so the two run apart; an anchor is kept at each jump."""

    def __init__(self) -> None:
        self.fed_samples = 0
        """Samples at 8 kHz fed so far."""
        self._fed: list[int] = []
        self._start: list[int] = []
        """The anchors: samples fed by then, and the position of the next sample on the stream's clock."""
        self._gap_fed = 0

    @property
    def gap_fed_ms(self) -> float:
        """Milliseconds fed before the latest gap of MIN_GAP_SAMPLES or more in what is fed."""
        return self._gap_fed / SAMPLES_PER_MS

    @property
    def fed_ms(self) -> float:
        """Milliseconds fed so far."""
        return self.fed_samples / SAMPLES_PER_MS

    def feed(self, samples: int, start_sample: int) -> None:
        """So many samples, the first of them at that position, are being fed."""
        jump = start_sample - self._start[-1] - self.fed_samples + self._fed[-1] if self._fed else start_sample
        if jump or not self._fed:
            self._gap_fed = self.fed_samples if abs(jump) >= MIN_GAP_SAMPLES else self._gap_fed
            self._fed.append(self.fed_samples)
            self._start.append(start_sample)
        self.fed_samples += samples

    def start_ms(self, fed_ms: float) -> int:
        """Where something began; on an anchor it belongs to what follows."""
        return self._to_ms(fed_ms, bisect_right(self._fed, round(fed_ms * SAMPLES_PER_MS)) - 1)

    def end_ms(self, fed_ms: float) -> int:
        """Where something ended; on an anchor it belongs to what was before."""
        return self._to_ms(fed_ms, bisect_left(self._fed, round(fed_ms * SAMPLES_PER_MS)) - 1)

    def interval_ms(self, start_ms: float, end_ms: float) -> tuple[int, int]:
        """Where something between two moments fed was said: on the side of a gap where most of it was heard.

        A recognizer knows of no gap, and may take the silence before it for the beginning of a word.
        """
        start, end = round(start_ms * SAMPLES_PER_MS), round(end_ms * SAMPLES_PER_MS)
        for anchor in range(max(1, bisect_right(self._fed, start)), bisect_left(self._fed, end)):
            border = self._fed[anchor]
            if abs(self._start[anchor] - border - self._start[anchor - 1] + self._fed[anchor - 1]) < MIN_GAP_SAMPLES:
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
        del self._fed[:keep], self._start[:keep]

    def snapshot(self) -> TimestampSnapshot:
        """The map."""
        return TimestampSnapshot(self.fed_samples, self._fed, self._start, self._gap_fed)

    def restore(self, snapshot: TimestampSnapshot) -> None:
        """Go on from there. Raises ValueError."""
        if len(snapshot.fed) != len(snapshot.start):
            raise ValueError("half of an anchor")
        self.fed_samples, self._gap_fed = snapshot.fed_samples, snapshot.gap_fed
        self._fed, self._start = list(snapshot.fed), list(snapshot.start)

    def __len__(self) -> int:
        """Anchors that are kept."""
        return len(self._fed)

    def _to_ms(self, fed_ms: float, anchor: int) -> int:
        if not self._fed:
            return round(fed_ms)
        anchor = max(0, anchor)
        return max(0, round(fed_ms + (self._start[anchor] - self._fed[anchor]) / SAMPLES_PER_MS))
