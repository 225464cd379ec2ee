"""How recognition keeps up: what lanes wait, what audio costs, and what follows for chunks, partials and admission.

The ladder when lanes fall behind: chunks grow with the wait, and so there are fewer partials; `hurried`: partials
without a look at the lattice; `behind`: no new calls. Audio that was admitted is never dropped for it.
"""

import time

from transcriber.audio.chunk import SAMPLE_RATE_HZ

LARGEST_CHUNK = 8 * SAMPLE_RATE_HZ // 10
"""Samples at 8 kHz: 800 ms."""
HURRIED_S = 0.2
BEHIND_S = 1.0
MEMORY = 0.05
"""Weight of the newest turn in the means."""
STALE_S = 2.0
"""Without a turn for so long nobody waits."""


class LoadMonitor:
    """Moving means over the latest turns. Noted by the workers, read by anybody; a lost update is harmless."""

    def __init__(self) -> None:
        self.audio_s = 0.0
        """Audio heard so far, over all tracks, silence included."""
        self.cpu_s = 0.0
        """CPU that workers spent on it."""
        self._wait_s = 0.0
        self._noted_at = 0.0

    def note(self, *, waited_s: float, cpu_s: float, audio: int) -> None:
        """A turn: what the lane waited for a worker, what the turn cost, samples of audio at 8 kHz in it."""
        self._wait_s += MEMORY * (waited_s - self._wait_s)
        self._noted_at = time.monotonic()
        self.cpu_s += cpu_s
        self.audio_s += audio / SAMPLE_RATE_HZ

    @property
    def wait_s(self) -> float:
        """What a lane waits for a worker at present."""
        return self._wait_s if time.monotonic() - self._noted_at < STALE_S else 0.0

    @property
    def chunk(self) -> int:
        """Samples at 8 kHz below which no lane queues up now: as much as comes in while it waits."""
        return min(LARGEST_CHUNK, round(2 * self._wait_s * SAMPLE_RATE_HZ))

    @property
    def hurried(self) -> bool:
        """Whether partials should cost as little as possible."""
        return self._wait_s > HURRIED_S

    @property
    def behind(self) -> bool:
        """Whether one more call would be too much."""
        return self.wait_s > BEHIND_S
