"""What a recognizer is fed: 16 kHz PCM, in blocks that end where it moves on.

The blocks depend on their place in what is fed alone, not on how the audio arrived: words do not depend on frames or
load.
"""

from collections.abc import Iterator

import msgspec

from transcriber.audio.chunk import PCM_BYTES_PER_SAMPLE, SAMPLES_PER_MS, Band
from transcriber.audio.resampler import UpsamplerSnapshot
from transcriber.audio.upsampling import upsampler
from transcriber.recognition.chunk_schedule import RESTART_SAMPLES, ChunkSchedule

BLOCK_SAMPLES = 100 * SAMPLES_PER_MS
"""Fed at a time where no schedule is known, as by a plain client of Vosk."""


class ChunkerSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """`pcm`: upsampled, and not fed."""

    fed_samples: int
    resampler: UpsamplerSnapshot
    pcm: bytes
    held_back: int


class PcmChunker:
    """One track's. One thread at a time."""

    def __init__(self, band: Band, schedule: ChunkSchedule | None) -> None:
        self.fed_samples = 0
        """Samples at 8 kHz since the recognizer began anew."""
        self._schedule = schedule
        self._resampler = upsampler(band)
        self._pcm = bytearray()
        self._held_back = 0
        """Samples at 8 kHz that the resampler has not given out."""

    @property
    def samples_to_next(self) -> int:
        """Samples that are lacking for the next block."""
        lacking = self._block_bytes - len(self._pcm)
        return max(0, lacking // PCM_BYTES_PER_SAMPLE + self._resampler.delay_samples - self._held_back)

    def push(self, mulaw: bytes) -> Iterator[bytes]:
        """The blocks that are due."""
        pcm = self._resampler.push(mulaw)
        self._held_back += len(mulaw) - len(pcm) // PCM_BYTES_PER_SAMPLE
        self._pcm += pcm
        while len(self._pcm) >= self._block_bytes:
            yield self._cut()

    def flush(self) -> Iterator[bytes]:
        """All that was not fed yet."""
        self._pcm += self._resampler.flush()
        self._held_back = 0
        while self._pcm:
            yield self._cut()

    def end_utterance(self) -> bool:
        """The recognizer was asked for a result. Whether it has been fed so much that it is to begin anew now."""
        begins_anew = self.fed_samples > RESTART_SAMPLES
        if begins_anew:
            self.fed_samples = 0
        return begins_anew

    def snapshot(self) -> ChunkerSnapshot:
        """All that it has heard and not given out."""
        return ChunkerSnapshot(self.fed_samples, self._resampler.snapshot(), bytes(self._pcm), self._held_back)

    def restore(self, snapshot: ChunkerSnapshot) -> None:
        """Go on from there. Raises ValueError: it is of another band."""
        self.fed_samples, self._held_back = snapshot.fed_samples, snapshot.held_back
        self._resampler.restore(snapshot.resampler)
        self._pcm = bytearray(snapshot.pcm)

    @property
    def _block_bytes(self) -> int:
        samples = self._schedule.samples_to_next(self.fed_samples) if self._schedule else BLOCK_SAMPLES
        return PCM_BYTES_PER_SAMPLE * samples

    def _cut(self) -> bytes:
        size = self._block_bytes
        block = bytes(self._pcm[:size])
        del self._pcm[:size]
        self.fed_samples += len(block) // PCM_BYTES_PER_SAMPLE
        return block
