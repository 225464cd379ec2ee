"""What a recognizer was fed lately: from it another recognizer is brought to where this one is. Pure.

A recognizer that is asked for a result goes on with the next utterance, and keeps of the one before what its network
looks back at, and what it has learnt of the speaker. Another one is in the same place when it was fed the end of what
was fed before, and asked for a result, if it moves on at the same moments: so only whole chunks are left out. What
lies so far back that it only served to adapt to the speaker is kept as mu-law and upsampled anew: a quarter as long.
"""

import msgspec

from transcriber.audio.chunk import PCM_BYTES_PER_SAMPLE, SAMPLE_RATE_HZ, SAMPLES_PER_MS
from transcriber.recognition.chunk_schedule import ChunkSchedule
from transcriber.recognition.ports import Bookmark

CONTEXT_SAMPLES = SAMPLE_RATE_HZ
"""Fed again from before an utterance, at least, in samples at 8 kHz."""
ADAPTATION_SAMPLES = 4 * SAMPLE_RATE_HZ
"""Before that, by models that adapt to the speaker, at most."""
UNKNOWN_EVERY = 1680 * SAMPLES_PER_MS
"""Where the chunks of a recognizer are not known: of the lengths that models have, 210 and 240 ms divide it."""


class Recipe(msgspec.Struct, frozen=True, array_like=True):
    """How another recognizer gets to the same place.

    `context`: 16 kHz PCM, the end of what was fed up to a result, after which the recognizer gave `bookmark`; `blocks`:
    what was fed since. `heard`: the track's mu-law, as much of it before that context as `adaptation_samples`, and on
    to its end.
    """

    heard: bytes
    adaptation_samples: int
    context: bytes
    blocks: list[bytes]
    bookmark: Bookmark

    @property
    def samples(self) -> int:
        """All that is to be fed, in samples at 8 kHz."""
        return self.adaptation_samples + (len(self.context) + sum(map(len, self.blocks))) // PCM_BYTES_PER_SAMPLE


class FedAudio:
    """Of one track's recognizer, turn by turn.

    `schedule`: the recognizer's, where it is known; `adapts`: whether it adapts to the speaker.
    """

    def __init__(self, schedule: ChunkSchedule | None, *, adapts: bool) -> None:
        self._adapts = adapts
        self._every = schedule.every if schedule else UNKNOWN_EVERY
        self._most = PCM_BYTES_PER_SAMPLE * (CONTEXT_SAMPLES + self._every)
        self._latest = bytearray()
        """The end of what was fed before `_blocks`."""
        self._blocks: list[bytes] = []
        """Fed in this turn, since the latest result in it."""
        self._heard = bytearray()
        """The end of the track's mu-law that went to the upsampler; nothing where nobody adapts."""
        self._ahead = 0
        """Samples at 8 kHz of it that were not fed yet."""
        self._bookmark: Bookmark = ()
        """At the latest result; empty before there was one."""
        self._context = self._adaptation = 0
        """Samples at 8 kHz that are needed from before it, and from before those."""
        self._open = False
        """Whether anything was fed since then."""
        self.ended_utterance = False
        """Whether the recognizer was asked for a result in this turn."""

    def begin_turn(self) -> None:
        """What is fed from now on, and results, belong to another turn."""
        self._keep()
        self.ended_utterance = False
        most = ADAPTATION_SAMPLES + CONTEXT_SAMPLES + self._every + self._ahead
        if len(self._heard) > 2 * most:
            del self._heard[: len(self._heard) - most]

    def hear(self, mulaw: bytes) -> None:
        """The track goes on with it; it will be fed once it is upsampled."""
        if self._adapts:
            self._heard += mulaw
            self._ahead += len(mulaw)

    def feed(self, block: bytes) -> None:
        """The recognizer was fed a block."""
        self._blocks.append(block)
        self._open = True
        if self._adapts:
            self._ahead -= len(block) // PCM_BYTES_PER_SAMPLE

    def end_utterance(self, bookmark: Bookmark, schedule_samples: int) -> None:
        """The recognizer was asked for a result. Since it began anew it has been fed so many samples at 8 kHz."""
        self._keep()
        self._bookmark = bookmark
        self._open = False
        self.ended_utterance = True
        spare = (schedule_samples - CONTEXT_SAMPLES) % self._every
        self._context = min(schedule_samples, CONTEXT_SAMPLES + spare)
        if self._adapts:
            before = min(schedule_samples - self._context, ADAPTATION_SAMPLES)
            self._adaptation = before // self._every * self._every

    @property
    def recipe(self) -> Recipe | None:
        """None: the utterance that runs began in an earlier turn."""
        if not self.ended_utterance and self._open:
            return None
        begin = len(self._latest) - PCM_BYTES_PER_SAMPLE * self._context
        since = self._ahead + sum(map(len, self._blocks)) // PCM_BYTES_PER_SAMPLE
        heard = self._adaptation + self._context + since if self._adapts else 0
        return Recipe(
            heard=bytes(self._heard[len(self._heard) - heard :]),
            adaptation_samples=self._adaptation,
            context=bytes(self._latest[begin:]),
            blocks=list(self._blocks),
            bookmark=self._bookmark,
        )

    def resume(self, recipe: Recipe) -> None:
        """The recognizer was, or will be, brought there by it."""
        self._heard[:] = recipe.heard
        self._ahead = len(recipe.heard) - recipe.samples if self._adapts else 0
        self._adaptation = recipe.adaptation_samples
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
