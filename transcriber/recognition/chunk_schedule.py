"""When a recognizer moves on: its network is computed for a stretch of audio at once, and in between it only listens.

Nothing tells how long the stretches of a model are and where they end, so a recognizer is watched. To feed it at these
moments costs least and shows its words soonest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from transcriber.recognition.ports import Recognizer

STEP = 16_000 // 200
"""Samples at 16 kHz that are fed at a time to watch: 5 ms. Features come every 10 ms, from a window of 25."""
FEWEST = 4
"""Moves that tell a rhythm: hardly ever have so many in common what not all have."""
LONGEST = 16_000
"""Samples; what seems to have a longer rhythm was only rarely seen moving."""
RESTART = 600 * 16_000
"""When an utterance ends after so many samples, the library begins anew with the next one."""


@dataclass(frozen=True, slots=True)
class ChunkSchedule:
    """A recognizer moves on when it was fed `phase` samples (16 kHz) and any number of times `every`."""

    every: int
    phase: int

    @staticmethod
    def of(moves: Sequence[int]) -> "ChunkSchedule | None":
        """What these moves have in common, each the samples that had been fed by then. None: nothing, or too few."""
        every = gcd(*(move - moves[0] for move in moves))
        return ChunkSchedule(every, moves[0] % every) if len(moves) >= FEWEST and STEP < every <= LONGEST else None

    def lacking(self, fed: int) -> int:
        """Samples until the next move, at least one."""
        return self.every - (fed - self.phase) % self.every


def measure_chunk_schedule(recognizer: Recognizer, pcm: bytes) -> ChunkSchedule | None:
    """Feed speech (16 kHz 16-bit PCM) to a recognizer that was fed nothing yet, and watch when its words change.

    Afterwards it is as new. None: too few words to tell.
    """
    moves: list[int] = []
    text = ""
    for start in range(0, len(pcm), 2 * STEP):
        over = recognizer.accept(pcm[start : start + 2 * STEP])
        latest = recognizer.partial(settled=False).text
        if latest != text:
            moves.append(start // 2 + STEP)
        text = latest
        if over:
            recognizer.result()
            text = ""
    recognizer.finish()
    return ChunkSchedule.of(moves)
