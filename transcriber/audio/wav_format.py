"""What a wav file says it holds: the chunks of its bytes, and which formats are understood. Pure."""

import struct
from dataclasses import dataclass

PCM, FLOAT, ALAW, MULAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
BITS = {PCM: (8, 16, 24, 32), FLOAT: (32, 64), ALAW: (8,), MULAW: (8,)}
RATES_HZ = range(1000, 768_001)


@dataclass(frozen=True, slots=True)
class Format:
    """What one sample is, of how many channels; `tag`: PCM, FLOAT, ALAW or MULAW."""

    tag: int
    channels: int
    rate_hz: int
    bits: int


def parts(raw: bytes) -> tuple[Format, memoryview]:
    """The `fmt ` and `data` chunks. A data size of 0 or beyond the end, as streaming tools write it, means: all.

    Raises ValueError.
    """
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


def _format(body: bytes) -> Format:
    if len(body) < 16:
        raise ValueError("damaged: its format chunk is too short")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if tag == EXTENSIBLE and len(body) >= 26:
        (tag,) = struct.unpack_from("<H", body, 24)
    return Format(tag, channels, rate, bits)


def check(form: Format) -> None:
    """Raises ValueError: not one of those that are understood."""
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
