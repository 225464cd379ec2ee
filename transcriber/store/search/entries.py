"""What the search index has entries for, and on which day a call stands. Pure."""

import datetime
from collections.abc import Iterable
from itertools import pairwise

from transcriber.store.search.query import Term, tokens

DAY_S = 86_400
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999


def entries_of(texts: Iterable[str]) -> set[str]:
    """What texts are found by: their words and each two that follow each other."""
    found: set[str] = set()
    for text in texts:
        words = [token.word for token in tokens(text)]
        found.update(words, map(" ".join, pairwise(words)))
    return found


def wanted_entries(term: Term) -> list[str]:
    """What a call with the term has entries for; '=' an entry, '*' one that begins so."""
    whole = term.words[:-1] if term.is_prefix else term.words
    pairs = [f"={left} {right}" for left, right in pairwise(whole)]
    return (pairs or [f"={word}" for word in whole]) + ([f"*{term.words[-1]}"] if term.is_prefix else [])


def day_of(at_ms: int) -> str:
    """The UTC day of a moment, as a number that sorts: 20261123; of one outside the calendar its first or last."""
    within_ms = min(max(at_ms, FIRST_MS), LAST_MS)
    return (EPOCH + datetime.timedelta(milliseconds=within_ms)).strftime("%Y%m%d").zfill(8)


def last_ms(day: str) -> int:
    """The last millisecond of a day."""
    following = datetime.datetime.strptime(day, "%Y%m%d").replace(tzinfo=datetime.UTC) - EPOCH
    return (following // datetime.timedelta(milliseconds=1)) + DAY_S * 1000 - 1
