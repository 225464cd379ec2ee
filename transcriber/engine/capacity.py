"""How many live tracks this machine carries: measured on speech at start, corrected by what real calls cost."""

from transcriber.engine.pace import Pace

USABLE = 0.7
"""Share of the workers that recognition may plan with: speech comes in bursts."""
INGEST_COST = 0.006
"""Cores a track costs besides recognition: frames, events, Redis (bench/overhead.py)."""
PACED = 1.8
"""How much more audio costs when it comes 100 ms at a time, many tracks in turn, than in one go (bench/overhead.py)."""
TALKING = 0.6
"""Share of a track that the gate lets through, as long as nothing is known (bench/gate.py: 0.34 to 0.54)."""
TRUST_S = 600.0
"""Seconds of audio that the measurement at start counts for."""
FORGET_S = 6_000.0
"""After so many the past counts half."""


class Capacity:
    """An estimate that follows the calls. `speech_cost`: CPU seconds for a second of speech, recognised in one go."""

    def __init__(self, pace: Pace, *, workers: int, speech_cost: float, gated: bool) -> None:
        self._pace = pace
        self._workers = workers
        self._share = TALKING if gated else 1.0
        self.restart(speech_cost=speech_cost)

    def restart(self, *, speech_cost: float) -> None:
        """Another model: what was learnt of the one before counts no more."""
        self._audio_s = TRUST_S
        self._worked_s = TRUST_S * PACED * speech_cost * self._share
        self._seen = (self._pace.audio_s, self._pace.worked_s)

    def tracks(self) -> int:
        """Live tracks that can be heard in real time, two at least."""
        audio_s, worked_s = self._pace.audio_s, self._pace.worked_s
        self._audio_s += audio_s - self._seen[0]
        self._worked_s += worked_s - self._seen[1]
        self._seen = (audio_s, worked_s)
        if self._audio_s > FORGET_S:
            self._audio_s, self._worked_s = self._audio_s / 2, self._worked_s / 2
        return max(2, int(USABLE * self._workers / (self._worked_s / self._audio_s + INGEST_COST)))
