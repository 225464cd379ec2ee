"""A piece of one track's audio, the same from the wire to the decoder, and the units that it is measured in. Pure."""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

Band = Literal["telephone", "wide"]
"""What a model was trained on: speech from telephones, 300 to 3,400 Hz, or speech up to 8 kHz."""
SAMPLE_RATE_HZ = 8000
"""Samples per second of telephone audio."""
SAMPLES_PER_MS = SAMPLE_RATE_HZ // 1000
PCM_RATE_HZ = 16_000
"""Samples per second of the 16-bit PCM that recognizers are fed."""
PCM_BYTES_PER_SAMPLE = 2 * PCM_RATE_HZ // SAMPLE_RATE_HZ
"""Bytes of that PCM for each sample of telephone audio."""
SILENCE = 0xFF
"""The mu-law code of a sample of 0."""
TRACKS = ("inbound", "outbound")
"""What the two sides of a call are called, in the order of a recording's channels."""


class AudioChunk(msgspec.Struct, frozen=True, gc=False):
    """Mu-law at 8 kHz, and which sample of the track's clock the first one is."""

    track: str
    payload: bytes
    start_sample: int

    @property
    def end_sample(self) -> int:
        """The position behind its last sample."""
        return self.start_sample + len(self.payload)


def joined(chunks: Sequence[AudioChunk]) -> Iterator[AudioChunk]:
    """The same audio in as few pieces as it can be: upsampling and endpointing cost by the call, not by the sample."""
    first = 0
    for number, chunk in enumerate(chunks, 1):
        if number == len(chunks) or chunks[number].start_sample != chunk.end_sample:
            piece = chunks[first:number]
            payload = b"".join(part.payload for part in piece) if len(piece) > 1 else chunk.payload
            yield AudioChunk(chunk.track, payload, piece[0].start_sample)
            first = number
