"""What a recognizer was fed lately: from it another recognizer is brought to where this one is. Pure.

A recognizer that is asked for a result goes on with the next utterance, and keeps of the one before what its network
looks back at, and what it has learnt of the speaker. Another one is in the same place when it was fed the end of what
was fed before, and asked for a result, if it moves on at the same moments: so only whole chunks are left out.
"""

import msgspec

from transcriber.audio.chunk import PCM_BYTES_PER_SAMPLE, SAMPLE_RATE_HZ, SAMPLES_PER_MS
from transcriber.recognition.chunk_schedule import ChunkSchedule
from transcriber.recognition.ports import Bookmark

CONTEXT_SAMPLES = SAMPLE_RATE_HZ
"""Fed again from before an utterance, at least, in samples at 8 kHz."""
UNKNOWN_EVERY = 1680 * SAMPLES_PER_MS
"""Where the chunks of a recognizer are not known: of the lengths that models have, 210 and 240 ms divide it."""


class Recipe(msgspec.Struct, frozen=True, array_like=True):
    """How another recognizer gets to the same place.

    `context`: 16 kHz PCM, the end of what was fed up to a result, after which the recognizer gave `bookmark`; `blocks`:
    what was fed since.
    """

    context: bytes
    blocks: list[bytes]
    bookmark: Bookmark

    @property
    def samples(self) -> int:
        """All that is to be fed, in samples at 8 kHz."""
        return (len(self.context) + sum(map(len, self.blocks))) // PCM_BYTES_PER_SAMPLE


class FedAudio:
    """Of one track's recognizer, turn by turn. `schedule`: the recognizer's, where it is known."""

    def __init__(self, schedule: ChunkSchedule | None) -> None:
        self._every = schedule.every if schedule else UNKNOWN_EVERY
        self._most = PCM_BYTES_PER_SAMPLE * (CONTEXT_SAMPLES + self._every)
        self._latest = bytearray()
        """The end of what was fed before `_blocks`."""
        self._blocks: list[bytes] = []
        """Fed in this turn, since the latest result in it."""
        self._bookmark: Bookmark = ()
        """At the latest result; empty before there was one."""
        self._context = 0
        """Samples at 8 kHz that are needed from before it."""
        self._open = False
        """Whether anything was fed since then."""
        self.ended_utterance = False
        """Whether the recognizer was asked for a result in this turn."""

    def begin_turn(self) -> None:
        """What is fed from now on, and results, belong to another turn."""
        self._keep()
        self.ended_utterance = False

    def feed(self, block: bytes) -> None:
        """The recognizer was fed a block."""
        self._blocks.append(block)
        self._open = True

    def end_utterance(self, bookmark: Bookmark, schedule_samples: int) -> None:
        """The recognizer was asked for a result. Since it began anew it has been fed so many samples at 8 kHz."""
        self._keep()
        self._bookmark = bookmark
        self._open = False
        self.ended_utterance = True
        spare = (schedule_samples - CONTEXT_SAMPLES) % self._every
        self._context = min(schedule_samples, CONTEXT_SAMPLES + spare)

    @property
    def recipe(self) -> Recipe | None:
        """None: the utterance that runs began in an earlier turn."""
        if not self.ended_utterance and self._open:
            return None
        begin = len(self._latest) - PCM_BYTES_PER_SAMPLE * self._context
        return Recipe(bytes(self._latest[begin:]), list(self._blocks), self._bookmark)

    def resume(self, recipe: Recipe) -> None:
        """The recognizer was, or will be, brought there by it."""
        self._latest[:] = recipe.context
        self._context = len(recipe.context) // PCM_BYTES_PER_SAMPLE
        self._blocks = list(recipe.blocks)
        self._open = bool(recipe.blocks)
        self._bookmark = recipe.bookmark

    def _keep(self) -> None:
        self._latest += b"".join(self._blocks)
        self._blocks = []
        if len(self._latest) > 2 * self._most:
            del self._latest[: len(self._latest) - self._most]
