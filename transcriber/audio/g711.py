"""G.711 mu-law, telephony's 8 bits a sample, to 16-bit samples and back. Pure."""

import numpy as np
from numpy.typing import NDArray


def _mulaw_table() -> NDArray[np.int16]:
    """G.711 mu-law: sign, three exponent bits, four mantissa bits, all inverted; values +-32124."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


MULAW = _mulaw_table()
MULAW_EXACT = MULAW.astype(np.float64)
"""The 16-bit sample of each code, and the same as floats."""


def expand(mulaw: bytes) -> NDArray[np.int16]:
    """Mu-law bytes to 16-bit samples at the same rate."""
    return MULAW[np.frombuffer(mulaw, np.uint8)]


def compress(samples: NDArray[np.int16]) -> bytes:
    """16-bit samples to G.711 mu-law, off by half a quantising step at most (ITU-T G.711, table 2)."""
    wide = samples.astype(np.int32)
    magnitude = np.minimum(np.abs(wide), 32635) + 0x84
    segment = np.searchsorted(1 << np.arange(8, 15), magnitude, side="right")
    code = (segment << 4) | ((magnitude >> (segment + 3)) & 0x0F) | np.where(wide < 0, 0x80, 0)
    return bytes((~code).astype(np.uint8))
