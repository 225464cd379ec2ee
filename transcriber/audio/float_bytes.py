"""Arrays of floats as bytes (64 bits each, little-endian) and back: what filters keep, to be gone on with. Pure."""

import numpy as np
from numpy.typing import NDArray


def pack(values: NDArray[np.float64]) -> bytes:
    """Its values in order, without its shape."""
    return values.astype("<f8").tobytes()


def unpack(data: bytes, *shape: int) -> NDArray[np.float64]:
    """An array of that shape, in which one length may be -1: as many as there are. Raises ValueError where they are
    others."""
    return np.frombuffer(data, "<f8").astype(np.float64).reshape(shape)
