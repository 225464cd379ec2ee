"""Whether people speak on a track, step by step: what a voice activity detector says, over a few steps. Pure."""

from collections.abc import Callable

import msgspec

from transcriber.recognition.stationary_sound import STEP_SAMPLES, StationarySnapshot, StationarySoundDetector

VOICED_TO_OPEN, OPEN_WINDOW = 2, 0b11111
VOICED_TO_STAY, STAY_WINDOW = 2, 0b111
"""How many of the latest steps (as bits) must be voiced."""


class VoiceActivitySnapshot(msgspec.Struct, frozen=True, array_like=True):
    """Without what `is_voice` keeps."""

    voiced: int
    strict: int
    stationary: StationarySnapshot


class VoiceActivity:
    """Of one track. One thread at a time.

    `is_voice` judges STEP_SAMPLES of 16-bit little-endian PCM at 8 kHz, strictly where told so; it may keep a state.
    """

    def __init__(self, is_voice: Callable[[bytes, bool], bool]) -> None:
        self._is_voice = is_voice
        self._voiced = 0
        """The latest steps' verdicts, one bit each."""
        self._strict = 0
        """Samples left in which the detector is strict."""
        self._stationary = StationarySoundDetector()

    @property
    def begins(self) -> bool:
        """Whether enough of the latest steps are voiced to open an utterance."""
        return self._voiced.bit_count() >= VOICED_TO_OPEN

    @property
    def goes_on(self) -> bool:
        """Whether enough of the latest steps are voiced to stay in it."""
        return (self._voiced & STAY_WINDOW).bit_count() >= VOICED_TO_STAY

    @property
    def lately(self) -> bool:
        """Whether any of the latest steps is voiced."""
        return self._voiced > 0

    @property
    def first_step(self) -> int:
        """How many steps before the latest one the first voiced one of them lies."""
        return self._voiced.bit_length() - 1

    @property
    def samples_in_doubt(self) -> int:
        """Samples up to now that may turn out to be speech after all."""
        return self._stationary.samples_in_doubt

    def be_strict(self, samples: int) -> None:
        """For so long only what surely is a voice counts."""
        self._strict = samples

    def detect(self, step: bytes, pcm: bytes | None) -> int:
        """The track's next step, as mu-law and as PCM; without PCM part of a step, judged like the one before.

        Returns the samples that were in doubt before it.
        """
        stationary = self._stationary
        was_stationary = stationary.is_stationary
        doubt = stationary.samples_in_doubt if was_stationary else 0
        if pcm is None:
            voiced = bool(self._voiced & 1)
        else:
            voiced = self._is_voice(pcm, self._strict > 0)
            self._strict = max(0, self._strict - STEP_SAMPLES)
        stationary.detect(step, voiced=voiced)
        if was_stationary and not stationary.is_stationary:
            self._voiced = OPEN_WINDOW  # what was in doubt is speech
        else:
            self._voiced = (self._voiced << 1 | (voiced and not stationary.is_stationary)) & OPEN_WINDOW
        return doubt

    def pause(self) -> bool:
        """The track goes on elsewhere. Whether what was in doubt until here was speech."""
        return self._stationary.pause()

    def forget(self) -> None:
        """What comes next counts by itself."""
        self._voiced = 0

    def snapshot(self) -> VoiceActivitySnapshot:
        """All that it knows of the track."""
        return VoiceActivitySnapshot(self._voiced, self._strict, self._stationary.snapshot())

    def restore(self, snapshot: VoiceActivitySnapshot) -> None:
        """Go on from there, on a new one. Raises ValueError."""
        self._voiced, self._strict = snapshot.voiced, snapshot.strict
        self._stationary.restore(snapshot.stationary)
