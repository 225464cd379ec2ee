"""Choosing a format by the Accept header (RFC 9110, 12.5.1)."""

import re
from collections.abc import Iterable, Sequence

_QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")
_RANGE = re.compile(r"[!#$%&'*+.^_`|~\w-]+/[!#$%&'*+.^_`|~\w-]+", re.ASCII)


def best(accept: str, offers: Sequence[str]) -> str | None:
    """The offered media type the header likes best, on a tie the earlier one; None when it wants none of them.

    An empty header accepts anything; malformed parts of it are passed over.
    """
    if not accept.strip():
        return offers[0] if offers else None
    ranges = list(_ranges(accept))
    liked = [(max(_matches(offer, ranges), default=(0, 0.0))[1], offer) for offer in offers]
    quality, offer = max(liked, key=lambda pair: pair[0], default=(0.0, ""))
    return offer if quality > 0 else None


def _ranges(accept: str) -> Iterable[tuple[str, float]]:
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((piece[2:].strip() for piece in parameters if piece.startswith("q=")), "1")
        if _RANGE.fullmatch(kind) and _QUALITY.fullmatch(quality):
            yield kind, float(quality)


def _matches(offer: str, ranges: Iterable[tuple[str, float]]) -> Iterable[tuple[int, float]]:
    """(how exact, quality) of every range that covers the offer; the most exact one decides."""
    for kind, quality in ranges:
        if kind == offer:
            yield 2, quality
        elif kind == f"{offer.partition('/')[0]}/*":
            yield 1, quality
        elif kind == "*/*":
            yield 0, quality
