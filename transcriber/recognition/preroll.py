"""Where an utterance begins: before the voice was noticed, because the beginnings of words are soft."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from transcriber.audio.chunk import SAMPLES_PER_MS
from transcriber.recognition.endpointer_output import Speech

PRE_ROLL = 300 * SAMPLES_PER_MS
"""Passed from before the voice was noticed …"""
LEAST_PRE_ROLL = 180 * SAMPLES_PER_MS
"""… but so little where the recognizer's beat is known, …"""
FIRST_WORD = 520 * SAMPLES_PER_MS
"""… or up to a beat more, so that it moves on when the voice is there for so long: first words are known by then."""
GRID = 30 * SAMPLES_PER_MS
"""What is left out is left out in whole numbers of these, as far as the pre-roll allows. Acoustic models look at every

third frame of 10 ms: fed one frame earlier or later, the same speech reads otherwise.
"""


@dataclass(frozen=True, slots=True)
class Beat:
    """When the recognizer moves on, in samples that it is fed: `lacking` until it does, `every` from then on."""

    every: int
    lacking: Callable[[], int]

    @property
    def longest(self) -> int:
        """Samples before the voice that `start` may go back."""
        return LEAST_PRE_ROLL + self.every + GRID

    def start(self, voice: int, *, fit_at: int) -> int:
        """The position to begin at, for a voice at that position and behind audio that ended at `fit_at`, so that the

        recognizer moves on as soon as the first word should be known.
        """
        latest = voice - LEAST_PRE_ROLL
        latest -= (latest - fit_at) % GRID
        late = (voice + FIRST_WORD - latest - self.lacking()) % self.every
        return latest - (-late % self.every + GRID - 1) // GRID * GRID if late >= GRID else latest


class PreRoll:
    """The latest audio of a track, in order; holes in it are of silence."""

    def __init__(self) -> None:
        self._held: deque[Speech] = deque()
        self._length = 0

    @property
    def at(self) -> int | None:
        """The position of the first sample; None: nothing is held."""
        return self._held[0].at if self._held else None

    def hold(self, step: Speech, *, most: int) -> None:
        """Add audio, and give up the oldest until no more than `most` samples are held."""
        self._held.append(step)
        self._length += len(step.payload)
        while self._length > most:
            self._length -= len(self._held.popleft().payload)

    def give_up_before(self, at: int) -> None:
        """Forget what lies before a position."""
        while self._held and self._held[0].at < at:
            first = self._held.popleft()
            self._length -= len(first.payload)
            if first.end > at:
                self._held.appendleft(Speech(first.payload[at - first.at :], at))
                self._length += first.end - at

    def take(self) -> Sequence[Speech]:
        """All of it; afterwards nothing is held."""
        taken, self._held, self._length = self._held, deque(), 0
        return taken
