"""Choosing by the Accept header."""

import pytest

from transcriber.web.api.content_negotiation import best

OFFERS = ["application/json", "text/plain", "text/vtt"]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/vtt", "text/vtt"),
        ("TEXT/VTT; charset=utf-8", "text/vtt"),
        ("text/*", "text/plain"),
        ("text/plain;q=0.5, text/vtt;q=0.8", "text/vtt"),
        ("text/plain, application/json", "application/json"),
        ("text/*;q=0.9, text/plain;q=0.1, application/json;q=0.5", "text/vtt"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json"),
        ("*/*, application/json;q=0", "text/plain"),
        ("text/html", None),
        ("text/vtt;q=0", None),
        ("text/vtt;q=nan", None),
        ("nonsense, ;;,/", None),
        ("nonsense, text/vtt", "text/vtt"),
    ],
)
def test_the_best_offer(accept: str, chosen: str | None) -> None:
    assert best(accept, OFFERS) == chosen


def test_nothing_is_offered() -> None:
    assert best("", []) is None
    assert best("*/*", []) is None
