"""The upper half of the band, guessed: for models trained on wide speech that have to listen to a telephone.

Such a model has never seen an empty band above 4 kHz. A small network reads the energies of 18 bands below 3.7 kHz over
five frames of 10 ms and tells those of five bands above; noise of these energies is added to the clean upsampling. The
weights (`bandwidth_extension.npz`) are made by `bench/band_extension.py`, from English speech alone.

The result does not depend on how the audio is cut: noise is taken from a table by position, and what the network says
is rounded before it is used. Delay: 30 ms, made up by `flush`.
"""

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]
RATE = 16000
HOP = RATE // 100
FRAME = 2 * HOP
BEFORE, AFTER = 3, 1
"""Frames of context that the network sees on either side."""
DELAY = FRAME + AFTER * HOP
"""Samples that are held back at most."""
LOW_HZ = np.linspace(100, 3700, 19)
HIGH_HZ = np.array([3700, 4200, 4800, 5500, 6300, 7600])
FLOOR = 1e-9
"""Power that is taken for silence, full scale 1: to it nothing is added."""
LOUDEST = 1.0
"""No guessed band has more energy than so many times the loudest band below."""
STEPS = 16.0
"""Steps of a neper: what the network says is rounded to them."""
NOISES = 509
"""Frames of noise in the table; a prime, so that its return is no rhythm."""
WINDOW: Samples = np.sqrt(np.hanning(FRAME + 1)[:FRAME])


def _bins(edges: NDArray[Any]) -> NDArray[np.intp]:
    return np.ceil(edges * FRAME / RATE).astype(np.intp)


LOW, HIGH = _bins(LOW_HZ), _bins(HIGH_HZ)
WIDTHS = np.diff(HIGH)


def spectra(frames: Samples) -> NDArray[np.complex128]:
    """Of frames of FRAME samples, full scale 1."""
    return np.fft.rfft(frames * WINDOW, axis=1)


def energies(spectrum: NDArray[np.complex128], bins: NDArray[np.intp]) -> Samples:
    """Natural logarithm of the mean power of each band."""
    power = spectrum.real**2 + spectrum.imag**2
    sums = np.add.reduceat(power, bins, axis=1)[:, :-1]
    return np.asarray(np.log(sums / np.diff(bins) + FLOOR), np.float64)


def rows(spectrum: NDArray[np.complex128]) -> Samples:
    """What the network sees of each frame: the bands below, and their mean."""
    low = energies(spectrum, LOW)
    return np.hstack([low, low.mean(1, keepdims=True)])


def context(row: Samples) -> Samples:
    """Each row with those around it; there are BEFORE + AFTER fewer."""
    count = len(row) - BEFORE - AFTER
    return np.hstack([row[at : at + count] for at in range(BEFORE + AFTER + 1)])


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
def shipped() -> Network:
    """The network of the package."""
    with (resources.files("transcriber") / "audio" / "bandwidth_extension.npz").open("rb") as file:
        stored = np.load(file)
        return Network(**{name: stored[name].astype(np.float64) for name in Network.__slots__})


@cache
def _noise() -> NDArray[np.complex128]:
    """Spectra above LOW by frame number: power one, only the phases are drawn, so that energies are what was told."""
    phases = np.random.default_rng(0).uniform(0, 2 * np.pi, size=(NOISES, HIGH[-1] - HIGH[0]))
    return np.asarray(np.exp(1j * phases), np.complex128)


class BandwidthExtender:
    """Adds the upper band to one track's clean 16 kHz samples. Not shared between tracks."""

    def __init__(self, network: Network | None = None) -> None:
        self._network = network or shipped()
        self._waiting = self._ahead = np.zeros(0)
        self._rows: Samples | None = None
        self._begin()

    def push(self, samples: Samples) -> Samples:
        """Samples (-32768 to 32767) in, samples out, as far as the guess reaches; not rounded, not clipped."""
        self._waiting = np.concatenate((self._waiting, samples))
        self._ahead = np.concatenate((self._ahead, samples / 32768))
        count = (len(self._ahead) - FRAME) // HOP + 1
        if count <= 0:
            return np.zeros(0)
        frames = np.lib.stride_tricks.sliding_window_view(self._ahead, FRAME)[: count * HOP : HOP]
        fresh = rows(spectra(frames))
        self._ahead = self._ahead[count * HOP :]
        history = np.repeat(fresh[:1], BEFORE, axis=0) if self._rows is None else self._rows
        known = np.concatenate((history, fresh))
        self._rows = known[-(BEFORE + AFTER) :]
        return self._add(known) if len(known) > BEFORE + AFTER else np.zeros(0)

    def flush(self) -> Samples:
        """The held-back end; afterwards the extension is as new."""
        left = len(self._waiting)
        tail = self.push(np.zeros(FRAME + (AFTER + 1) * HOP))[:left]
        self._begin()
        return tail

    def _begin(self) -> None:
        self._waiting = np.zeros(0)
        self._ahead = np.zeros(0)
        self._rows = None
        self._tail = np.zeros(HOP)
        self._frame = 0

    def _add(self, known: Samples) -> Samples:
        """Noise for the frames whose context is known, on the samples that no later frame touches."""
        guessed = self._network(context(known))
        low = known[BEFORE : BEFORE + len(guessed), :-1]
        loudest = low.max(1, keepdims=True)
        guessed = np.minimum(np.round(guessed * STEPS) / STEPS, np.round((loudest + np.log(LOUDEST)) * STEPS) / STEPS)
        gains = np.exp(guessed / 2) * (loudest > np.log(2 * FLOOR))
        spectrum = np.zeros((len(gains), FRAME // 2 + 1), np.complex128)
        numbers = np.arange(self._frame, self._frame + len(gains)) % NOISES
        spectrum[:, HIGH[0] : HIGH[-1]] = _noise()[numbers] * np.repeat(gains, WIDTHS, axis=1)
        waves = np.fft.irfft(spectrum, FRAME, axis=1) * WINDOW * 32768
        self._frame += len(gains)
        starts = np.vstack((self._tail, waves[:-1, HOP:])) + waves[:, :HOP]
        self._tail = waves[-1, HOP:]
        ready = len(gains) * HOP
        out = self._waiting[:ready] + starts.reshape(-1)[: len(self._waiting[:ready])]
        self._waiting = self._waiting[ready:]
        return np.asarray(out, np.float64)
