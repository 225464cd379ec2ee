"""Sound that stays as it is: tones, hold music, even noise. A voice activity detector takes them for speech. Pure.

Speech moves: hardly ever has a block of it the spectrum of the two before, be the voice ever so flat. The frequencies
of a tone or a chord stand still while it lasts, and the bands of noise stay as loud as they were. Moments of speech do
so, too: only what does it again and again, or for long, counts. The tones of telephone keys are known at once.
"""

from collections import deque

import msgspec
import numpy as np
from numpy import fft  # now: a worker cannot read modules from files any more
from numpy.typing import NDArray

from transcriber.audio import float_bytes
from transcriber.audio.chunk import SAMPLE_RATE_HZ, SAMPLES_PER_MS
from transcriber.audio.g711 import expand

STEP_SAMPLES = 20 * SAMPLES_PER_MS
"""What a voice activity detector judges at a time."""
STEPS_PER_BLOCK = 3
"""So many make a block …"""
BLOCK_SAMPLES = STEPS_PER_BLOCK * STEP_SAMPLES
"""… of 60 ms: long enough to part frequencies, shorter than a note."""
FFT_SIZE = 512
"""Of a block's Fourier transform; a bin is 15.6 Hz."""
LOWEST_BIN = 4
"""The first bin that counts: below are offset and rumble."""
ALIKE_COSINE = 0.9
"""Cosine of two blocks' magnitudes, bin by bin, from which they are one sound …"""
EVEN_DB = 4.5
"""… or so little does each band of 500 Hz differ."""
BAND_FLOOR = 1e3
"""Energy of a band too soft to matter …"""
FAINT_ENERGY = 3e6
"""… and of a block too soft to have a voice, -72 dB of full scale."""
STATIONARY_BLOCKS = 3
"""The block of an unchanged sound from which it is stationary."""
WINDOW_BLOCKS, MAX_STATIONARY_BLOCKS = 40, 16
"""So many stationary ones of the latest blocks with voice are no speech: of a flat synthetic voice 12 are, at most."""
LONG_RUN_BLOCKS = 12
"""Nor is a sound that did not change for so many blocks; speech: 9."""
DOUBT_BLOCKS = 8
"""Speech is back when of so many blocks one at most is stationary …"""
QUARTER, LAST_BLOCKS = 4, 3
"""… or, of those before a pause, a quarter or none of the last ones …"""
PAUSE_BLOCKS = 2
"""… where a pause is so many without voice."""
HELD_BLOCKS = 24
"""So many blocks may turn out to be speech after all: a flat voice is not known at once."""
KEY_ROWS_HZ, KEY_COLUMNS_HZ = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
"""Frequencies of a telephone key's two tones in Hz …"""
KEY_SHARE, KEY_LEAST = 0.9, 0.03
"""… and the share of a block's energy that both must have together, and each."""
TONE_BINS = 3
"""Bins to each side that are a tone's."""

Spectrum = NDArray[np.float64]
_HANN = np.hanning(BLOCK_SAMPLES)
_ROWS = [round(hz * FFT_SIZE / SAMPLE_RATE_HZ) - LOWEST_BIN for hz in KEY_ROWS_HZ]
_COLUMNS = [round(hz * FFT_SIZE / SAMPLE_RATE_HZ) - LOWEST_BIN for hz in KEY_COLUMNS_HZ]
_BANDS = np.arange(0, FFT_SIZE // 2 - LOWEST_BIN, 32)


class StationarySnapshot(msgspec.Struct, frozen=True, array_like=True):
    """The detector's attributes; floats as `float_bytes`."""

    is_stationary: bool
    steps: list[bytes]
    voiced: bool
    shape: bytes
    levels: bytes
    run: int
    key: bool
    recent: list[bool]
    doubtful: list[bool]
    stretch: int
    quiet: int


class StationarySoundDetector:
    """Judges one track, step by step, in order. One thread at a time."""

    def __init__(self) -> None:
        self.is_stationary = False
        """Whether what sounds is stationary, and has been for too long to be speech."""
        self._steps: list[bytes] = []
        self._voiced = False
        self._shape: Spectrum = np.zeros(FFT_SIZE // 2 + 1 - LOWEST_BIN)
        self._levels: Spectrum = np.zeros(len(_BANDS))
        """Of the block that the latest ones are like."""
        self._run = 0
        """How many are, with that one."""
        self._key = False
        self._recent: deque[bool] = deque(maxlen=WINDOW_BLOCKS)
        """Which of the latest blocks with voice were stationary."""
        self._doubtful: deque[bool] = deque(maxlen=DOUBT_BLOCKS)
        """The same since the last pause, while it lasts."""
        self._stretch = 0
        """Blocks since then."""
        self._quiet = 0
        """The latest blocks without voice."""

    @property
    def samples_in_doubt(self) -> int:
        """Samples up to now that may turn out to be speech after all. Some 1.5 s at most."""
        return min(self._stretch, HELD_BLOCKS) * BLOCK_SAMPLES + sum(map(len, self._steps)) if self.is_stationary else 0

    def detect(self, step: bytes, *, voiced: bool) -> None:
        """The track's next step, mu-law, and what a voice activity detector makes of it."""
        self._steps.append(step)
        self._voiced |= voiced
        if len(self._steps) == STEPS_PER_BLOCK:
            self._quiet = 0 if self._voiced and self._compare(expand(b"".join(self._steps))) else self._quiet + 1
            self._stretch += 1
            self._conclude()
            self._steps.clear()
            self._voiced = False

    def pause(self) -> bool:
        """The track goes on elsewhere. Whether what was in doubt until here was speech."""
        was_stationary = self.is_stationary
        self._steps.clear()
        self._voiced = False
        self._quiet = PAUSE_BLOCKS
        self._conclude()
        return was_stationary and not self.is_stationary

    def snapshot(self) -> StationarySnapshot:
        """All that it knows of the track."""
        return StationarySnapshot(
            is_stationary=self.is_stationary,
            steps=self._steps,
            voiced=self._voiced,
            shape=float_bytes.pack(self._shape),
            levels=float_bytes.pack(self._levels),
            run=self._run,
            key=self._key,
            recent=[bool(each) for each in self._recent],
            doubtful=[bool(each) for each in self._doubtful],
            stretch=self._stretch,
            quiet=self._quiet,
        )

    def restore(self, snapshot: StationarySnapshot) -> None:
        """Go on from there, on a new one. Raises ValueError."""
        self.is_stationary = snapshot.is_stationary
        self._steps = list(snapshot.steps)
        self._voiced = snapshot.voiced
        self._shape = float_bytes.unpack(snapshot.shape, *self._shape.shape)
        self._levels = float_bytes.unpack(snapshot.levels, *self._levels.shape)
        self._run, self._key = snapshot.run, snapshot.key
        self._recent.extend(snapshot.recent)
        self._doubtful.extend(snapshot.doubtful)
        self._stretch, self._quiet = snapshot.stretch, snapshot.quiet

    def _compare(self, samples: NDArray[np.int16]) -> bool:
        """Take note of a block, unless it is too soft."""
        spectrum = fft.rfft(samples * _HANN[: len(samples)], FFT_SIZE)[LOWEST_BIN:]
        power = spectrum.real**2 + spectrum.imag**2
        total = power.sum()
        if total < FAINT_ENERGY:
            if not self.is_stationary:
                self._run = 0
                self._recent.append(False)
            return False
        shares = power / total
        shape = np.sqrt(shares)
        levels = 10 * np.log10(np.add.reduceat(power, _BANDS) + BAND_FLOOR)
        if shape @ self._shape >= ALIKE_COSINE or np.abs(levels - self._levels).max() <= EVEN_DB:
            self._run += 1
        else:
            self._shape, self._levels, self._run = shape, levels, 1
        self._key = _is_key(shares)
        (self._doubtful if self.is_stationary else self._recent).append(self._key or self._run >= STATIONARY_BLOCKS)
        return True

    def _conclude(self) -> None:
        if not self.is_stationary:
            if self._key or self._run >= LONG_RUN_BLOCKS or sum(self._recent) >= MAX_STATIONARY_BLOCKS:
                self.is_stationary = True
                self._recent.clear()
                self._forget_doubts()
        elif self._is_speech():
            self.is_stationary = False
            self._run = 0
            self._forget_doubts()
        elif self._quiet >= PAUSE_BLOCKS:
            self._forget_doubts()

    def _is_speech(self) -> bool:
        blocks = list(self._doubtful)
        if len(blocks) == DOUBT_BLOCKS and sum(blocks) <= 1:
            return True
        few = sum(blocks) * QUARTER <= len(blocks) or not any(blocks[-LAST_BLOCKS:])
        return self._quiet >= PAUSE_BLOCKS and bool(blocks) and few

    def _forget_doubts(self) -> None:
        self._doubtful.clear()
        self._stretch = 0


def _is_key(power: Spectrum) -> bool:
    """Whether a block's energy, 1 in all, is that of a key: two tones, one of a row and one of a column."""
    if power[_ROWS[0] - TONE_BINS : _COLUMNS[-1] + TONE_BINS].sum() < KEY_SHARE:
        return False  # hardly any speech has so little below
    shares = [_tone(power, bins) for bins in (_ROWS, _COLUMNS)]
    return sum(shares) >= KEY_SHARE and min(shares) >= KEY_LEAST


def _tone(power: Spectrum, bins: list[int]) -> float:
    """Energy of the strongest tone thereabouts, if it is at one of these."""
    first = bins[0] - TONE_BINS
    peak = first + int(power[first : bins[-1] + TONE_BINS + 1].argmax())
    at_one = min(abs(peak - each) for each in bins) <= 1
    return float(power[peak - TONE_BINS : peak + TONE_BINS + 1].sum()) if at_one else 0.0
