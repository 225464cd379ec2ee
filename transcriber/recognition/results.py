"""What recognition tells: what a recognizer heard, and an utterance while it grows and when it is finished. Pure.

The server and the workers exchange these; they need nothing of what made them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from transcriber.events.schema import Word


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a recognizer heard; word times in milliseconds of audio fed to it for this track.

    Of a partial, `words` may be fewer than the words of `text`: the leading ones whose times are known by now.
    """

    text: str
    words: tuple[Word, ...] = ()


class PartialResult(msgspec.Struct, frozen=True, tag=0, array_like=True):
    """What an utterance reads like so far; times on the stream's clock."""

    utterance: int
    revision: int
    text: str
    stable: int
    start_ms: int
    end_ms: int


class FinalResult(msgspec.Struct, frozen=True, tag=1, array_like=True):
    """A finished utterance with words; times on the stream's clock."""

    utterance: int
    text: str
    words: tuple[Word, ...]

    @property
    def confidence(self) -> float:
        """Mean confidence of the words."""
        return round(sum(word.confidence for word in self.words) / len(self.words), 3) if self.words else 0.0


RecognitionResults = Sequence[PartialResult | FinalResult]
