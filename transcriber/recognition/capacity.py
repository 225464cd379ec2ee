"""How many live tracks this machine carries: measured on speech at start, corrected by what real calls cost."""

from transcriber.recognition.load_monitor import RecognitionLoad
from transcriber.recognition.track_room import tracks_that_fit

INGEST_CORES = 0.006
"""What a track costs besides recognition: frames, events, Redis (bench/overhead.py)."""
PACED_FACTOR = 1.15
"""How much more audio costs when it comes a chunk at a time, many tracks in turn, than at once (bench/estimate.py)."""
SPEECH_SHARE = 0.6
"""Of a track, let through by the speech gate as long as nothing is known (bench/endpointing.py: 0.34 to 0.54)."""
TRUST_S = 600.0
"""Seconds of audio that the measurement at start counts for."""
FORGET_S = 6_000.0
"""After so many the past counts half."""


class Capacity:
    """An estimate that follows the calls.

    `cores`: what recognition may use at once, parts of a core too; `speech_cost`: CPU seconds for a second of speech,
    recognised in one go.
    """

    def __init__(self, load: RecognitionLoad, *, cores: float, speech_cost: float, vad_enabled: bool) -> None:
        self._load = load
        self._cores = cores
        self._share = SPEECH_SHARE if vad_enabled else 1.0
        self.restart(speech_cost=speech_cost)

    def restart(self, *, speech_cost: float) -> None:
        """Another model: what was learnt of the one before counts no more."""
        self._audio_s = TRUST_S
        self._cpu_s = TRUST_S * PACED_FACTOR * speech_cost * self._share
        self._seen = (self._load.audio_s, self._load.cpu_s)

    def tracks(self) -> int:
        """Live tracks that can be recognised in real time, two at least."""
        audio_s, cpu_s = self._load.audio_s, self._load.cpu_s
        self._audio_s += audio_s - self._seen[0]
        self._cpu_s += cpu_s - self._seen[1]
        self._seen = (audio_s, cpu_s)
        if self._audio_s > FORGET_S:
            self._audio_s, self._cpu_s = self._audio_s / 2, self._cpu_s / 2
        return max(2, tracks_that_fit(self._cores, self._cpu_s / self._audio_s + INGEST_CORES))
