"""What a track's gate has heard and not passed: the beginnings of words are soft, and only known when they are over."""

from collections import deque
from collections.abc import Iterator

import msgspec


class Speech(msgspec.Struct, frozen=True, gc=False):
    """Mu-law to be recognised, and the position of its first sample."""

    payload: bytes
    at: int

    @property
    def end(self) -> int:
        """The position behind its last sample."""
        return self.at + len(self.payload)


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

    def take(self) -> Iterator[Speech]:
        """All of it; afterwards nothing is held."""
        while self._held:
            yield self._held.popleft()
        self._length = 0
