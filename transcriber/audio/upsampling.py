"""The upsampling that a model needs, by the band that it was trained on. Reads the weights of the package."""

from functools import cache
from importlib import resources

import numpy as np

from transcriber.audio.bandwidth_extension import BandwidthExtender, Network
from transcriber.audio.chunk import Band
from transcriber.audio.resampler import Upsampler


def upsampler(band: Band) -> Upsampler:
    """For one track. `telephone`: the clean filter alone; `wide`: also an upper band, as the model saw none empty."""
    return Upsampler(BandwidthExtender(shipped_network()) if band == "wide" else None)


def upsample(mulaw: bytes, band: Band) -> bytes:
    """A whole recording: 8 kHz mu-law to 16 kHz 16-bit little-endian PCM."""
    resampler = upsampler(band)
    return resampler.push(mulaw) + resampler.flush()


@cache
def shipped_network() -> Network:
    """The network of the package."""
    with (resources.files("transcriber") / "audio" / "bandwidth_extension.npz").open("rb") as file:
        stored = np.load(file)
        return Network(**{name: stored[name].astype(np.float64) for name in Network.__slots__})
