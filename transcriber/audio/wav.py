"""Wav files of any common kind as telephone audio: 8 kHz mu-law, one track a channel. Reading only."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transcriber.audio.chunk import SAMPLE_RATE_HZ, TRACKS
from transcriber.audio.g711 import MULAW, SILENCE, compress
from transcriber.audio.polyphase import resample
from transcriber.errors import AudioFileError

PCM, FLOAT, ALAW, MULAW_TAG, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
BITS = {PCM: (8, 16, 24, 32), FLOAT: (32, 64), ALAW: (8,), MULAW_TAG: (8,)}
RATES_HZ = range(1000, 768_001)


@dataclass(frozen=True, slots=True)
class Recording:
    """Mu-law at 8 kHz for each track (`inbound`, `outbound`), all of one length."""

    tracks: Mapping[str, bytes]

    @property
    def duration_s(self) -> float:
        """Seconds from the first sample to the last."""
        return max(map(len, self.tracks.values())) / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class _Format:
    tag: int
    channels: int
    rate_hz: int
    bits: int


def read_recording(path: Path, outbound: Path | None = None) -> Recording:
    """A wav file: mono is inbound, of stereo the left is inbound and the right outbound; or two mono files.

    The shorter track is filled with silence. Raises AudioFileError.
    """
    channels = _read(path)
    if outbound is not None:
        second = _read(outbound)
        if len(channels) != 1 or len(second) != 1:
            raise AudioFileError(f"{path} and {outbound}: of two files each must be mono, one side of the call")
        channels += second
    longest = max(map(len, channels))
    filled = (side.ljust(longest, bytes([SILENCE])) for side in channels)
    return Recording(dict(zip(TRACKS, filled, strict=False)))


def _read(path: Path) -> list[bytes]:
    """The file's channels as 8 kHz mu-law."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be read ({error.strerror or error})") from None
    try:
        form, data = _parts(raw)
        _check(form)
    except ValueError as error:
        raise AudioFileError(f"{path}: {error}") from None
    width = form.channels * form.bits // 8
    data = data[: len(data) - len(data) % width]
    if not data:
        raise AudioFileError(f"{path}: holds no audio")
    if form.tag == MULAW_TAG and form.rate_hz == SAMPLE_RATE_HZ:
        return [bytes(data[side :: form.channels]) for side in range(form.channels)]
    samples = _samples(bytes(data), form).reshape(-1, form.channels)
    return [compress(_at_8k(samples[:, side], form.rate_hz)) for side in range(form.channels)]


def _parts(raw: bytes) -> tuple[_Format, memoryview]:
    """The `fmt ` and `data` chunks. A data size of 0 or beyond the end, as streaming tools write it, means: all."""
    if len(raw) < 12 or raw[:4] not in (b"RIFF", b"RF64") or raw[8:12] != b"WAVE":
        raise ValueError("not a wav file; convert it first (for example: ffmpeg -i FILE out.wav)")
    form, at = None, 12
    while at + 8 <= len(raw):
        name, size = struct.unpack_from("<4sI", raw, at)
        body = memoryview(raw)[at + 8 : at + 8 + size]
        if name == b"data":
            if form is None:
                raise ValueError("damaged: its audio comes before its format")
            return form, body if size else memoryview(raw)[at + 8 :]
        if name == b"fmt ":
            form = _format(bytes(body))
        at += 8 + size + size % 2
    raise ValueError("damaged: it has no data chunk")


def _format(body: bytes) -> _Format:
    if len(body) < 16:
        raise ValueError("damaged: its format chunk is too short")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if tag == EXTENSIBLE and len(body) >= 26:
        (tag,) = struct.unpack_from("<H", body, 24)
    return _Format(tag, channels, rate, bits)


def _check(form: _Format) -> None:
    if form.bits not in BITS.get(form.tag, ()):
        raise ValueError(
            f"encoded as format {form.tag:#x} with {form.bits} bits; "
            "PCM of 8 to 32 bits, float, mu-law and A-law are understood"
        )
    if form.channels not in (1, 2):
        raise ValueError(f"has {form.channels} channels; a call has one or two (left inbound, right outbound)")
    if form.rate_hz not in RATES_HZ:
        raise ValueError(
            f"has a sample rate of {form.rate_hz} Hz; {RATES_HZ.start} to {RATES_HZ.stop - 1} are understood"
        )


def _samples(data: bytes, form: _Format) -> NDArray[np.float64]:
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
