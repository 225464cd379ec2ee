"""Hints: names and terms that a call is likely to hold, written where the recognised words sound much like them.

They do not close the vocabulary, and the decoder does not know them: only words of which it was unsure are replaced.

Words the decoder was sure of (and all that were called stable) are never touched.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from transcriber.events.schema import Word
from transcriber.recognition.word_errors import word_errors

UNSURE_CONFIDENCE = 0.9
"""Only words below this confidence may become a hint."""
MIN_ALIKE = 0.7
"""Share of the sounds that must agree."""
MIN_SOUNDS = 4
"""Shorter hints would be found in everything."""
MORE_WORDS = 2
"""A name the model does not know comes out as up to so many words more than it has."""
_SPELLINGS = (("ph", "f"), ("ck", "k"), ("gh", "g"), ("wh", "w"), ("qu", "kw"), ("x", "ks"), ("c", "k"), ("z", "s"))
_SOUNDS = {"y": "i", "j": "g", "v": "f", "d": "t", "b": "p"}


def sounds(text: str) -> str:
    """A rough spelling by sound: letters only, similar ones made one; Hangul as its jamo."""
    letters = "".join(
        letter for letter in unicodedata.normalize("NFKD", text.casefold()) if letter.isalpha() or letter.isdigit()
    )
    for spelling, sound in _SPELLINGS:
        letters = letters.replace(spelling, sound)
    letters = "".join(_SOUNDS.get(letter, letter) for letter in letters)
    return re.sub(r"(.)\1+", r"\1", letters)


class Hints:
    """The hints of one call."""

    def __init__(self, phrases: Sequence[str] = ()) -> None:
        spelled = [(phrase.split(), sounds(phrase)) for phrase in phrases]
        self._phrases = [(words, heard) for words, heard in spelled if len(heard) >= MIN_SOUNDS]

    def correct(self, words: tuple[Word, ...]) -> tuple[Word, ...]:
        """The words, with the unsure ones that sound like a hint replaced by it; times within those of the replaced."""
        if not self._phrases or all(word.confidence >= UNSURE_CONFIDENCE for word in words):
            return words
        corrected: list[Word] = []
        at = 0
        while at < len(words):
            count, replaced = self._best(words, at)
            corrected += replaced
            at += count
        return tuple(corrected)

    def _best(self, words: tuple[Word, ...], at: int) -> tuple[int, Sequence[Word]]:
        best = (MIN_ALIKE, 1, words[at : at + 1])
        for phrase, heard in self._phrases:
            for count in range(1, len(phrase) + MORE_WORDS + 1):
                window = words[at : at + count]
                if len(window) < count or window[-1].confidence >= UNSURE_CONFIDENCE:
                    break
                alike = _alike(heard, sounds("".join(word.word for word in window)), least=best[0])
                if alike > best[0]:
                    best = (alike, count, _spread(phrase, window, alike))
        return best[1], best[2]


def _alike(left: str, right: str, *, least: float) -> float:
    """Share of the sounds that agree, in order; 0 if even out of order fewer than `least` would."""
    longer = max(len(left), len(right), 1)
    if (Counter(left) & Counter(right)).total() <= least * longer:
        return 0.0
    return 1 - word_errors(left, right).total / longer


def _spread(phrase: Sequence[str], window: Sequence[Word], alike: float) -> tuple[Word, ...]:
    """The phrase over the time of the window, by letters."""
    start, end = window[0].start_ms, window[-1].end_ms
    letters = sum(map(len, phrase))
    ends = [start + (end - start) * sum(map(len, phrase[:count])) // letters for count in range(len(phrase) + 1)]
    confidence = round(alike * sum(word.confidence for word in window) / len(window), 3)
    return tuple(
        Word(word, begun, over, confidence) for word, (begun, over) in zip(phrase, pairwise(ends), strict=True)
    )


NO_HINTS = Hints()
