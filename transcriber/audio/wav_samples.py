"""The samples of wav files of any common kind as telephone audio: 8 kHz mu-law. Pure."""

import numpy as np
from numpy.typing import NDArray

from transcriber.audio.chunk import SAMPLE_RATE_HZ
from transcriber.audio.g711 import MULAW, compress
from transcriber.audio.polyphase import resample
from transcriber.audio.wav_format import Format


def telephone_audio(data: bytes, form: Format) -> list[bytes]:
    """Each channel of these interleaved samples."""
    samples = _samples(data, form).reshape(-1, form.channels)
    return [compress(_at_8k(samples[:, side], form.rate_hz)) for side in range(form.channels)]


def _samples(data: bytes, form: Format) -> NDArray[np.float64]:
    """Interleaved samples scaled to 16 bits."""
    match form.tag, form.bits:
        case (1, 8):
            return (np.frombuffer(data, np.uint8).astype(np.float64) - 128) * 256
        case (1, 24):
            thrice = np.frombuffer(data, np.uint8).reshape(-1, 3)
            wide = np.zeros((len(thrice), 4), np.uint8)
            wide[:, 1:] = thrice
            return wide.reshape(-1).view("<i4") / 65536.0
        case (1, bits):
            return np.frombuffer(data, f"<i{bits // 8}") / float(1 << (bits - 16))
        case (3, bits):
            return np.clip(np.nan_to_num(np.frombuffer(data, f"<f{bits // 8}").astype(np.float64)), -1, 1) * 32768
        case (6, _):
            return _alaw_table()[np.frombuffer(data, np.uint8)]
    return MULAW[np.frombuffer(data, np.uint8)].astype(np.float64)


def _alaw_table() -> NDArray[np.float64]:
    """G.711 A-law to 16 bits: even bits inverted, sign set for positive values."""
    code = np.arange(256) ^ 0x55
    segment, mantissa = (code >> 4) & 7, code & 0x0F
    magnitude = np.where(segment == 0, (mantissa << 4) + 8, ((mantissa << 4) + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.float64)


def _at_8k(samples: NDArray[np.float64], rate_hz: int) -> NDArray[np.int16]:
    if rate_hz != SAMPLE_RATE_HZ:
        samples = resample(samples, rate_hz, SAMPLE_RATE_HZ)
    return np.clip(np.round(samples), -32768, 32767).astype(np.int16)
