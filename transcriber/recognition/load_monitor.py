"""How recognition keeps up: what tracks wait, what audio costs, and what follows for chunks, partials and admission.

Load is shed in steps when tracks fall behind: what is fed at once grows with the wait, and so there are fewer partials;
`skips_lattice`: partials without a look at the lattice; `overloaded`: no new calls. Admitted audio is never dropped.
"""

import time

from transcriber.audio.chunk import SAMPLE_RATE_HZ

MAX_AT_ONCE_SAMPLES = 8 * SAMPLE_RATE_HZ // 10
HURRIED_S = 0.2
BEHIND_S = 1.0
NEWEST_WEIGHT = 0.05
"""Of the latest turn in the means."""
STALE_S = 2.0
"""Without a turn for so long nobody waits."""


class LoadMonitor:
    """Of one worker: moving means over its latest turns."""

    def __init__(self) -> None:
        self.audio_s = 0.0
        """Audio decoded so far, over all tracks, silence included."""
        self.cpu_s = 0.0
        """CPU that workers spent on it."""
        self._wait_s = 0.0
        self._recorded_at = 0.0

    def record(self, *, waited_s: float, cpu_s: float, audio_s: float) -> None:
        """A turn: how long the track waited for a worker, what the turn cost, how much audio was in it."""
        self._wait_s += NEWEST_WEIGHT * (waited_s - self._wait_s)
        self._recorded_at = time.monotonic()
        self.cpu_s += cpu_s
        self.audio_s += audio_s

    @property
    def wait_s(self) -> float:
        """What a track waits for its worker at present."""
        return self._wait_s if time.monotonic() - self._recorded_at < STALE_S else 0.0

    @property
    def min_turn_samples(self) -> int:
        """Samples at 8 kHz below which no track lines up for a worker now: as much as comes in while it waits."""
        return min(MAX_AT_ONCE_SAMPLES, round(2 * self._wait_s * SAMPLE_RATE_HZ))

    @property
    def skips_lattice(self) -> bool:
        """Whether partials should cost as little as possible."""
        return self._wait_s > HURRIED_S

    @property
    def overloaded(self) -> bool:
        """Whether one more call would be too much."""
        return self.wait_s > BEHIND_S


class RecognitionLoad:
    """Of all workers of a server, in groups of those that share a model."""

    def __init__(self) -> None:
        self._groups: list[list[LoadMonitor]] = []
        self._past_audio_s = self._past_cpu_s = 0.0
        """Of groups that have gone."""

    def group(self, workers: int) -> list[LoadMonitor]:
        """The monitors of so many workers of a model."""
        self._groups.append([LoadMonitor() for _ in range(workers)])
        return self._groups[-1]

    def forget(self, group: list[LoadMonitor]) -> None:
        """The workers have gone; what they did counts on. May be repeated."""
        if not any(known is group for known in self._groups):
            return
        self._groups = [known for known in self._groups if known is not group]
        self._past_audio_s += sum(monitor.audio_s for monitor in group)
        self._past_cpu_s += sum(monitor.cpu_s for monitor in group)

    @property
    def audio_s(self) -> float:
        """Audio decoded so far, over all tracks, silence included."""
        return self._past_audio_s + sum(monitor.audio_s for group in self._groups for monitor in group)

    @property
    def cpu_s(self) -> float:
        """CPU that workers spent on it."""
        return self._past_cpu_s + sum(monitor.cpu_s for group in self._groups for monitor in group)

    @property
    def wait_s(self) -> float:
        """What a track waits for its worker at present, where it waits longest."""
        return max((monitor.wait_s for group in self._groups for monitor in group), default=0.0)

    @property
    def overloaded(self) -> bool:
        """Whether one more call would be too much: it would be for every worker of a model."""
        return any(all(monitor.overloaded for monitor in group) for group in self._groups)
