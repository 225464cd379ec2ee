"""The upper half of the band, guessed: for models trained on wide speech that get telephone speech. Pure.

Such a model has never seen an empty band above 4 kHz. A small network reads the energies of 18 bands below 3.7 kHz over
five frames of 10 ms and predicts those of five bands above; noise of these energies is added to the clean upsampling.
The network's weights are made by `bench/band_extension.py`, from English speech alone; `upsampling` reads them.

The result does not depend on how the audio is cut: noise is taken from a table by position, and what the network says
is rounded before it is used. Delay: 30 ms, made up by `flush`.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
import numpy as np
from numpy import fft, random  # now: a worker cannot read modules from files any more
from numpy.typing import NDArray

from transcriber.audio import float_bytes
from transcriber.audio.chunk import PCM_RATE_HZ

Samples = NDArray[np.float64]
HOP_SAMPLES = PCM_RATE_HZ // 100
FRAME_SAMPLES = 2 * HOP_SAMPLES
FRAMES_BEFORE, FRAMES_AFTER = 3, 1
"""The context that the network sees on either side."""
DELAY_SAMPLES = FRAME_SAMPLES + FRAMES_AFTER * HOP_SAMPLES
"""At 16 kHz, held back at most."""
LOW_EDGES_HZ = np.linspace(100, 3700, 19)
HIGH_EDGES_HZ = np.array([3700, 4200, 4800, 5500, 6300, 7600])
SILENT_POWER = 1e-9
"""Power that is taken for silence, full scale 1: to it nothing is added."""
LOUDEST_RATIO = 1.0
"""No guessed band has more energy than so many times the loudest band below."""
STEPS_PER_NEPER = 16.0
"""What the network says is rounded to them."""
NOISE_FRAMES = 509
"""In the table of noise; a prime, so that its return is no rhythm."""
WINDOW: Samples = np.sqrt(np.hanning(FRAME_SAMPLES + 1)[:FRAME_SAMPLES])


def _bins(edges: NDArray[Any]) -> NDArray[np.intp]:
    return np.ceil(edges * FRAME_SAMPLES / PCM_RATE_HZ).astype(np.intp)


LOW_BINS, HIGH_BINS = _bins(LOW_EDGES_HZ), _bins(HIGH_EDGES_HZ)
HIGH_WIDTHS = np.diff(HIGH_BINS)


def spectra(frames: Samples) -> NDArray[np.complex128]:
    """Of frames of FRAME_SAMPLES, full scale 1."""
    return fft.rfft(frames * WINDOW, axis=1)


def energies(spectrum: NDArray[np.complex128], bins: NDArray[np.intp]) -> Samples:
    """Natural logarithm of the mean power of each band."""
    power = spectrum.real**2 + spectrum.imag**2
    sums = np.add.reduceat(power, bins, axis=1)[:, :-1]
    return np.asarray(np.log(sums / np.diff(bins) + SILENT_POWER), np.float64)


def features(spectrum: NDArray[np.complex128]) -> Samples:
    """What the network sees of each frame: the bands below, and their mean."""
    low = energies(spectrum, LOW_BINS)
    return np.hstack([low, low.mean(1, keepdims=True)])


def with_context(row: Samples) -> Samples:
    """Each row with those around it; there are FRAMES_BEFORE + FRAMES_AFTER fewer."""
    count = len(row) - FRAMES_BEFORE - FRAMES_AFTER
    return np.hstack([row[at : at + count] for at in range(FRAMES_BEFORE + FRAMES_AFTER + 1)])


@dataclass(frozen=True, slots=True)
class Network:
    """One hidden layer: `inputs` x hidden, hidden, hidden x bands, bands; inputs are normalised by `mean` and `dev`."""

    mean: Samples
    dev: Samples
    into: Samples
    hidden: Samples
    out: Samples
    bias: Samples

    def __call__(self, features: Samples) -> Samples:
        """Logarithms of the energies above."""
        active = np.maximum(0.0, (features - self.mean) / self.dev @ self.into + self.hidden)
        return np.asarray(active @ self.out + self.bias, np.float64)


@cache
def _noise() -> NDArray[np.complex128]:
    """Spectra of the upper band by frame number: power one, phases drawn at random, so that energies are as guessed."""
    phases = random.default_rng(0).uniform(0, 2 * np.pi, size=(NOISE_FRAMES, HIGH_BINS[-1] - HIGH_BINS[0]))
    return np.asarray(np.exp(1j * phases), np.complex128)


class ExtenderSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """Floats as `float_bytes`; `frame` numbers the next one."""

    waiting: bytes
    ahead: bytes
    features: bytes | None
    tail: bytes
    frame: int


class BandwidthExtender:
    """Adds the upper band to one track's clean 16 kHz samples. Not shared between tracks."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._waiting = self._ahead = np.zeros(0)
        self._features: Samples | None = None
        self._begin()

    def push(self, samples: Samples) -> Samples:
        """Samples (-32768 to 32767) in, samples out, as far as the guess reaches; not rounded, not clipped."""
        self._waiting = np.concatenate((self._waiting, samples))
        self._ahead = np.concatenate((self._ahead, samples / 32768))
        count = (len(self._ahead) - FRAME_SAMPLES) // HOP_SAMPLES + 1
        if count <= 0:
            return np.zeros(0)
        frames = np.lib.stride_tricks.sliding_window_view(self._ahead, FRAME_SAMPLES)[
            : count * HOP_SAMPLES : HOP_SAMPLES
        ]
        fresh = features(spectra(frames))
        self._ahead = self._ahead[count * HOP_SAMPLES :]
        history = np.repeat(fresh[:1], FRAMES_BEFORE, axis=0) if self._features is None else self._features
        known = np.concatenate((history, fresh))
        self._features = known[-(FRAMES_BEFORE + FRAMES_AFTER) :]
        return self._add(known) if len(known) > FRAMES_BEFORE + FRAMES_AFTER else np.zeros(0)

    def flush(self) -> Samples:
        """The held-back end; afterwards the extension is as new."""
        left = len(self._waiting)
        tail = self.push(np.zeros(FRAME_SAMPLES + (FRAMES_AFTER + 1) * HOP_SAMPLES))[:left]
        self._begin()
        return tail

    def snapshot(self) -> ExtenderSnapshot:
        """All that it has heard and not given out."""
        return ExtenderSnapshot(
            waiting=float_bytes.pack(self._waiting),
            ahead=float_bytes.pack(self._ahead),
            features=None if self._features is None else float_bytes.pack(self._features),
            tail=float_bytes.pack(self._tail),
            frame=self._frame,
        )

    def restore(self, snapshot: ExtenderSnapshot) -> None:
        """Go on from there. Raises ValueError."""
        known = snapshot.features
        rows, columns = FRAMES_BEFORE + FRAMES_AFTER, len(LOW_EDGES_HZ)
        self._features = None if known is None else float_bytes.unpack(known, rows, columns)
        self._waiting = float_bytes.unpack(snapshot.waiting, -1)
        self._ahead = float_bytes.unpack(snapshot.ahead, -1)
        self._tail = float_bytes.unpack(snapshot.tail, HOP_SAMPLES)
        self._frame = snapshot.frame

    def _begin(self) -> None:
        self._waiting = np.zeros(0)
        self._ahead = np.zeros(0)
        self._features = None
        self._tail = np.zeros(HOP_SAMPLES)
        self._frame = 0

    def _add(self, known: Samples) -> Samples:
        """Noise for the frames whose context is known, on the samples that no later frame touches."""
        guessed = self._network(with_context(known))
        low = known[FRAMES_BEFORE : FRAMES_BEFORE + len(guessed), :-1]
        loudest = low.max(1, keepdims=True)
        guessed = np.minimum(_stepped(guessed), _stepped(loudest + np.log(LOUDEST_RATIO)))
        gains = np.exp(guessed / 2) * (loudest > np.log(2 * SILENT_POWER))
        spectrum = np.zeros((len(gains), FRAME_SAMPLES // 2 + 1), np.complex128)
        numbers = np.arange(self._frame, self._frame + len(gains)) % NOISE_FRAMES
        spectrum[:, HIGH_BINS[0] : HIGH_BINS[-1]] = _noise()[numbers] * np.repeat(gains, HIGH_WIDTHS, axis=1)
        waves = fft.irfft(spectrum, FRAME_SAMPLES, axis=1) * WINDOW * 32768
        self._frame += len(gains)
        starts = np.vstack((self._tail, waves[:-1, HOP_SAMPLES:])) + waves[:, :HOP_SAMPLES]
        self._tail = waves[-1, HOP_SAMPLES:]
        ready = len(gains) * HOP_SAMPLES
        out = self._waiting[:ready] + starts.reshape(-1)[: len(self._waiting[:ready])]
        self._waiting = self._waiting[ready:]
        return np.asarray(out, np.float64)


def _stepped(energies: Samples) -> Samples:
    """Logarithms, rounded."""
    return np.asarray(np.round(energies * STEPS_PER_NEPER) / STEPS_PER_NEPER, np.float64)
