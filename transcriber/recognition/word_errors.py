"""How far a transcript is from what was said: word and character errors. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# One whole number holds an alignment's count of edits, of deletions and of substitutions, most significant first.
INSERTION = 1 << 40
DELETION = INSERTION + (1 << 20)
SUBSTITUTION = INSERTION + 1

_NOT_WORD = re.compile(r"[^\w']+")


@dataclass(frozen=True, slots=True)
class Errors:
    """The fewest edits that turn a reference of `words` words into a hypothesis."""

    substitutions: int = 0
    insertions: int = 0
    deletions: int = 0
    words: int = 0

    @property
    def total(self) -> int:
        """All edits."""
        return self.substitutions + self.insertions + self.deletions

    @property
    def rate(self) -> float:
        """Edits per reference word, 0 or more; without a reference 0 if nothing was heard, else 1."""
        return self.total / self.words if self.words else float(self.total > 0)

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(
            self.substitutions + other.substitutions,
            self.insertions + other.insertions,
            self.deletions + other.deletions,
            self.words + other.words,
        )


def words_of(text: str) -> list[str]:
    """The words as they are compared: case and punctuation do not count, apostrophes do."""
    return [word for word in _NOT_WORD.sub(" ", text.casefold()).split() if word.strip("'")]


def word_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> Errors:
    """Levenshtein alignment of words, or of characters when given strings. Time: the product of the lengths.

    Of several alignments with the fewest edits, the one with the most substitutions.
    """
    codes: dict[str, int] = {}
    said, heard = (np.array([codes.setdefault(w, len(codes)) for w in words], int) for words in (reference, hypothesis))
    inserted = np.arange(len(heard) + 1) * INSERTION
    row = inserted
    for word in said:
        best = row + DELETION
        np.minimum(best[1:], row[:-1] + np.where(heard == word, 0, SUBSTITUTION), out=best[1:])
        row = np.minimum.accumulate(best - inserted) + inserted
    edits, rest = divmod(int(row[-1]), INSERTION)
    deletions, substitutions = divmod(rest, DELETION - INSERTION)
    return Errors(substitutions, edits - deletions - substitutions, deletions, len(reference))
