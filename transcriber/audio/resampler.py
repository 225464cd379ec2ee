"""From 8 kHz mu-law to 16 kHz PCM, streaming, bit-identical however the audio is cut. Pure.

Which of its ways a model needs says `upsampling`.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from transcriber.audio import float_bytes
from transcriber.audio.bandwidth_extension import DELAY_SAMPLES, BandwidthExtender, ExtenderSnapshot
from transcriber.audio.g711 import MULAW_EXACT

ONE = 1 << 15
"""Of the taps' whole numbers: Q15."""


def half_band(reach: int) -> NDArray[np.float64]:
    """Whole-numbered (Q15) taps that give the sample half-way between two: `2 * reach` of them, sum exactly one.

    A Kaiser window (beta 6: 63 dB) over the ideal interpolator. With reach 24 the pass band ends at 3.7 kHz (-0.04 dB)
    and the mirror image is gone above 4.4 kHz (-67 dB): telephone speech needs no more.
    """
    at = np.arange(-reach, reach) + 0.5
    taps = np.round(np.sinc(at) * np.kaiser(2 * reach, 6.0) * ONE)
    taps[reach - 1 : reach + 1] += (ONE - taps.sum()) / 2
    return np.asarray(taps, np.float64)


_TAPS = half_band(24)


class UpsamplerSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """`held`: floats as `float_bytes`."""

    held: bytes
    extender: ExtenderSnapshot | None


class Upsampler:
    """One track's 8 -> 16 kHz. Not shared between tracks; any thread, one at a time.

    The clean half-band filter; its sums are whole numbers below 2**53, hence exact, hence the same however the audio is
    cut. With an `extender` also an upper band, guessed from the lower one. Delay: 3 ms or 33 ms, made up by `flush`: in
    total two samples out for one in, aligned.
    """

    def __init__(self, extender: BandwidthExtender | None = None) -> None:
        self._extender = extender
        self._taps = _TAPS
        self._reach = len(self._taps) // 2
        self._held = np.zeros(self._reach - 1)
        self.delay_samples = self._reach + (DELAY_SAMPLES // 2 if extender else 0)
        """Samples at 8 kHz that are held back at most."""

    def push(self, mulaw: bytes) -> bytes:
        """8 kHz mu-law in, 16 kHz 16-bit little-endian PCM out, as far as the filter can see."""
        samples = self._interpolate(MULAW_EXACT[np.frombuffer(mulaw, np.uint8)])
        return _pcm(samples if self._extender is None else _whole(self._extender.push(samples)))

    def flush(self) -> bytes:
        """The held-back end; afterwards the upsampler is as new."""
        tail = self._interpolate(np.zeros(self._reach))
        self._held = np.zeros(self._reach - 1)
        if self._extender is not None:
            tail = _whole(np.concatenate((self._extender.push(tail), self._extender.flush())))
        return _pcm(tail)

    def snapshot(self) -> UpsamplerSnapshot:
        """All that it has heard and not given out."""
        return UpsamplerSnapshot(
            float_bytes.pack(self._held), None if self._extender is None else self._extender.snapshot()
        )

    def restore(self, snapshot: UpsamplerSnapshot) -> None:
        """Go on from there. Raises ValueError: it is of another band."""
        if (self._extender is None) != (snapshot.extender is None):
            raise ValueError("the upsampler of another band")
        self._held = float_bytes.unpack(snapshot.held, -1)
        if self._extender is not None and snapshot.extender is not None:
            self._extender.restore(snapshot.extender)

    def _interpolate(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        known = np.concatenate((self._held, samples))
        ready = len(known) - 2 * self._reach + 1
        if ready <= 0:
            self._held = known
            return np.zeros(0)
        out = np.empty(2 * ready)
        out[::2] = known[self._reach - 1 : self._reach - 1 + ready]
        out[1::2] = np.floor(np.convolve(known, self._taps, "valid") / ONE + 0.5)
        self._held = known[ready:]
        return _bounded(out)


def _pcm(whole: NDArray[np.float64]) -> bytes:
    return whole.astype("<i2").tobytes()


def _whole(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    return _bounded(np.floor(samples + 0.5))


def _bounded(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """In place. Half the time of np.clip, which is made for more than this."""
    np.maximum(samples, -32768, out=samples)
    return np.minimum(samples, 32767, out=samples)
