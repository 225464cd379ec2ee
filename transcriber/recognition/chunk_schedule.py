"""When a recognizer moves on: its network is computed for a chunk of audio at once, and in between it only collects.

A model does not say how long its chunks are and where they end, so a recognizer is watched. To feed it at these
moments costs least and shows its words soonest. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from transcriber.audio.chunk import PCM_BYTES_PER_SAMPLE, SAMPLE_RATE_HZ, SAMPLES_PER_MS
from transcriber.recognition.ports import Recognizer

STEP_SAMPLES = 5 * SAMPLES_PER_MS
"""Fed at a time to watch. Features come every 10 ms, from a window of 25."""
MIN_MOVES = 4
"""Moves that show a schedule: hardly ever have so many in common what not all have."""
MAX_SAMPLES = SAMPLE_RATE_HZ
"""What seems to have longer chunks was only rarely seen moving."""
RESTART_SAMPLES = 600 * SAMPLE_RATE_HZ
"""When an utterance ends after so much audio, the recognizer is made to begin anew: a little later the library would by

itself, at a moment that a recognizer which goes on with the track from a checkpoint could not know."""


@dataclass(frozen=True, slots=True)
class ChunkSchedule:
    """A recognizer moves on when it was fed `phase` samples and any number of times `every`.

    In samples at 8 kHz, PCM_BYTES_PER_SAMPLE each when they are fed.
    """

    every: int
    phase: int

    @staticmethod
    def of(moves: Sequence[int]) -> "ChunkSchedule | None":
        """What these moves have in common, each the samples that had been fed by then. None: nothing, or too few."""
        every = gcd(*(move - moves[0] for move in moves))
        fits = len(moves) >= MIN_MOVES and STEP_SAMPLES < every <= MAX_SAMPLES
        return ChunkSchedule(every, moves[0] % every) if fits else None

    def samples_to_next(self, fed_samples: int) -> int:
        """Samples until the next move, at least one."""
        return self.every - (fed_samples - self.phase) % self.every


def measure_chunk_schedule(recognizer: Recognizer, pcm: bytes) -> ChunkSchedule | None:
    """Feed speech (16 kHz 16-bit PCM) to a recognizer that was fed nothing yet, and watch when its words change.

    Afterwards it is as new. None: too few words to tell.
    """
    step_bytes = PCM_BYTES_PER_SAMPLE * STEP_SAMPLES
    moves: list[int] = []
    text = ""
    for number, start in enumerate(range(0, len(pcm), step_bytes), 1):
        over = recognizer.accept(pcm[start : start + step_bytes])
        latest = recognizer.partial(settled=False).text
        if latest != text:
            moves.append(number * STEP_SAMPLES)
        text = latest
        if over:
            recognizer.result()
            text = ""
    recognizer.finish()
    return ChunkSchedule.of(moves)
