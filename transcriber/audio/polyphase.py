"""A whole recording from one sample rate to another: a polyphase filter, for any two rates. Pure.

Calls do not come by here: their one step, 8 to 16 kHz and streaming, is `resampler`'s.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

CROSSINGS = 10
"""Of the sinc on either side of its middle."""
KAISER_BETA = 5.0


def resample(samples: NDArray[np.float64], from_hz: int, to_hz: int) -> NDArray[np.float64]:
    """The same sound at another rate: `ceil(len(samples) * to_hz / from_hz)` samples, the first at the same moment.

    Outside the recording is silence. Filter: a sinc below half of the lower rate, in a Kaiser window (beta 5).
    """
    common = math.gcd(from_hz, to_hz)
    up, down = to_hz // common, from_hz // common
    reach = CROSSINGS * max(up, down)
    taps = _low_pass(reach, max(up, down)) * up
    count = -(-len(samples) * up // down)
    out = np.zeros(count)
    margin = reach // up + 1
    padded = np.pad(samples, margin)
    # At the common multiple of both rates, output k lies at k * down and input n at n * up. Outputs that are `up` apart
    # lie alike between the inputs: they share their taps, and their windows begin `down` inputs apart.
    for phase in range(min(up, count)):
        first = -((reach - phase * down) // up)
        weights = taps[phase * down + reach - first * up :: -up]
        alike = len(range(phase, count, up))
        windows = sliding_window_view(padded, len(weights))[first + margin :: down][:alike]
        out[phase::up] = windows @ weights
    return out


def _low_pass(reach: int, crossing: int) -> NDArray[np.float64]:
    """`2 * reach + 1` taps of sum 1; the sinc is zero at each multiple of `crossing`."""
    taps = np.sinc(np.arange(-reach, reach + 1) / crossing) * np.kaiser(2 * reach + 1, KAISER_BETA)
    return np.asarray(taps / taps.sum(), np.float64)
