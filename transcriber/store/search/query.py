"""Full-text search in transcripts: what a query asks for, and where a text holds it. Pure.

All terms must occur in a call: words, prefixes (`pay*`) and phrases in quotes. Case, width and
the way accents are written do not count (NFKC, casefold).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from unicodedata import category, normalize

from transcriber.errors import BadRequest

MAX_QUERY_CHARACTERS = 500
MAX_WORDS = 16
MIN_PREFIX_LETTERS = 2
MAX_PREFIXES = 4
"""Each stands for many words."""
_TERM = re.compile(r'"([^"]*)"|([^\s"]+)')


@dataclass(frozen=True, slots=True)
class Term:
    """Words that follow each other in one utterance; usually one. `is_prefix`: the last is the beginning of one."""

    words: tuple[str, ...]
    is_prefix: bool = False

    def spans(self, tokens: Sequence["Token"]) -> Iterator[tuple[int, int]]:
        """[from, to) of each place, in characters of the text."""
        last = len(self.words) - 1
        if not last and not self.is_prefix:
            yield from ((token.start, token.end) for token in tokens if token.word == self.words[0])
            return
        for first in range(len(tokens) - last):
            here = tokens[first : first + last + 1]
            if all(
                token.word.startswith(word) if self.is_prefix and number == last else token.word == word
                for number, (token, word) in enumerate(zip(here, self.words, strict=True))
            ):
                yield here[0].start, here[-1].end


@dataclass(slots=True)
class Token:
    """A word of a text as it is compared, and where it stands."""

    word: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """The words of a text in order."""
    return [Token(_fold(found.group()), found.start(), found.end()) for found in word_pattern().finditer(text)]


def parse_query(query: str) -> tuple[Term, ...]:
    """The terms of a query. Raises BadRequest that says what is wrong with it."""
    if len(query) > MAX_QUERY_CHARACTERS:
        raise BadRequest(f"q is longer than {MAX_QUERY_CHARACTERS} characters")
    if query.count('"') % 2:
        raise BadRequest("q has a quote that is not closed")
    terms = []
    for phrase, single in _TERM.findall(query):
        text = phrase or single
        words = tuple(token.word for token in tokens(text))
        if not words:
            continue
        term = Term(words, is_prefix=text.endswith("*"))
        if term.is_prefix and len(words[-1]) < MIN_PREFIX_LETTERS:
            raise BadRequest(f"q: a beginning needs {MIN_PREFIX_LETTERS} letters before the *")
        terms.append(term)
    if not terms:
        raise BadRequest("q has no word to look for")
    if sum(len(term.words) for term in terms) > MAX_WORDS:
        raise BadRequest(f"q has more than {MAX_WORDS} words")
    if sum(term.is_prefix for term in terms) > MAX_PREFIXES:
        raise BadRequest(f"q has more than {MAX_PREFIXES} beginnings (words with a *)")
    return tuple(dict.fromkeys(terms))


@dataclass(frozen=True, slots=True)
class TermMatches:
    """Where the terms stand in one text: which of them, and [from, to) in characters, in order, not overlapping."""

    terms: frozenset[Term]
    marks: tuple[tuple[int, int], ...]


def find_terms(terms: Sequence[Term], text: str) -> TermMatches | None:
    """Which of the terms the text holds; None: not one of them."""
    words = tokens(text)
    spans = {term: list(term.spans(words)) for term in terms}
    marks: list[tuple[int, int]] = []
    for start, end in sorted(span for found in spans.values() for span in found):
        if marks and start < marks[-1][1]:
            marks[-1] = (marks[-1][0], max(end, marks[-1][1]))
        else:
            marks.append((start, end))
    return TermMatches(frozenset(term for term, found in spans.items() if found), tuple(marks)) if marks else None


@cache
def word_pattern() -> re.Pattern[str]:
    """Letters and digits with their combining marks, which `\\w` leaves out; apostrophes inside.

    Making it takes 20 ms: whoever must not wait so long calls this before.
    """
    marks = "".join(character for code in range(0x10000) if category(character := chr(code)) in ("Mn", "Mc"))
    return re.compile(rf"\w[\w{marks}]*(?:['’]\w[\w{marks}]*)*")


def _fold(word: str) -> str:
    if word.isascii():
        return word.lower()
    return normalize("NFKC", normalize("NFKC", word).casefold()).replace("’", "'")
