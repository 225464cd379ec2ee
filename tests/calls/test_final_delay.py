"""How late a final is, whatever the sender's frames and clock do. The wall clock stands still between steps."""

from dataclasses import dataclass

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, Histogram

from tests.sample_events import final
from transcriber.calls.final_delay import WINDOW_TICKS, FinalDelay
from transcriber.calls.session import TICK_S

TICK_MS = round(TICK_S * 1000)


@dataclass
class Stream:
    """A stream whose sender's clock is `drift` faster than ours; the clock of this machine is `now_s`."""

    drift: float = 0.0
    now_s: float = 1000.0

    def __post_init__(self) -> None:
        self.registry = CollectorRegistry()
        self.seconds = Histogram("delay_seconds", "", registry=self.registry)
        self.delay = FinalDelay(self.seconds, endpoint_ms=600, clock=lambda: self.now_s)

    def end_ms(self) -> int:
        return round((self.now_s - 1000) * 1000 * (1 + self.drift))

    def ticks(self, count: int, *, late_ms: int = 0) -> None:
        """Frames come on time, or so much later."""
        for _ in range(count):
            self.now_s += TICK_S
            self.delay.tick(self.end_ms() - late_ms)

    def published(self, spoken_until_ms: int, after_ms: int) -> float:
        """What is observed of a final published so long after its speech."""
        before, now_s = self._sum(), self.now_s
        self.now_s = 1000 + (spoken_until_ms / (1 + self.drift) + after_ms) / 1000
        self.delay.published(replace(final("CA1"), end_ms=spoken_until_ms))
        self.now_s = now_s
        return self._sum() - before

    def _sum(self) -> float:
        return self.registry.get_sample_value("delay_seconds_sum") or 0.0


def test_it_is_the_time_since_the_end_of_speech_less_the_endpoint() -> None:
    stream = Stream()
    stream.ticks(20)
    assert stream.published(4000, 725) == pytest.approx(0.125)


def test_the_end_of_a_call_waits_for_no_silence() -> None:
    stream = Stream()
    stream.ticks(20)
    assert stream.published(4000, 100) == 0


def test_frames_that_come_in_a_burst_move_no_zero() -> None:
    stream = Stream()
    stream.ticks(8)
    stream.ticks(8, late_ms=3000)
    stream.ticks(1)
    assert stream.published(4000, 900) == pytest.approx(0.3)


def test_a_start_that_took_long_is_no_delay() -> None:
    """The stream was admitted when 5 s of it had been sent: a model was loaded."""
    stream = Stream()
    stream.now_s += 5
    stream.delay = FinalDelay(stream.seconds, endpoint_ms=600, clock=lambda: stream.now_s)
    stream.ticks(4)
    assert stream.published(5500, 800) == pytest.approx(0.2)


@pytest.mark.parametrize("drift", [-100e-6, 100e-6])
def test_a_clock_that_drifts_is_followed(drift: float) -> None:
    """An hour at 100 ppm is 360 ms; what stays is the drift of two windows at most."""
    stream = Stream(drift)
    stream.ticks(3600 * 1000 // TICK_MS)
    stays_s = 2 * WINDOW_TICKS * TICK_S * abs(drift)
    assert stream.published(stream.end_ms(), 800) == pytest.approx(0.2, abs=stays_s + 0.002)


def test_a_muted_track_keeps_the_clock() -> None:
    stream = Stream()
    stream.ticks(20)
    muted_at_ms = stream.end_ms()
    for _ in range(3 * WINDOW_TICKS):
        stream.now_s += TICK_S
        stream.delay.tick(muted_at_ms)
    assert stream.published(muted_at_ms, 2700) == pytest.approx(2.1)
