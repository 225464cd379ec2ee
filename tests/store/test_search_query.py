"""What a search query asks for and where a text holds it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.errors import BadRequest
from transcriber.store.search.query import MAX_QUERY_CHARACTERS, Term, find_terms, parse_query, tokens


def marked(query: str, text: str) -> list[str]:
    found = find_terms(parse_query(query), text)
    return [text[start:end] for start, end in found.marks] if found else []


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("Hello World", (Term(("hello",)), Term(("world",)))),
        ("pay*", (Term(("pay",), is_prefix=True),)),
        ('"credit card" lost', (Term(("credit", "card")), Term(("lost",)))),
        ('"credit ca*"', (Term(("credit", "ca"), is_prefix=True),)),
        ("it's it’s", (Term(("it's",)),)),
        ("post-office", (Term(("post", "office")),)),
        ("ＡＢＣ １２", (Term(("abc",)), Term(("12",)))),
    ],
)
def test_terms(query: str, terms: tuple[Term, ...]) -> None:
    assert parse_query(query) == terms


@pytest.mark.parametrize("query", ["", " ", "?!", '""', '"open', "a*", "x " * 17, "a" * (MAX_QUERY_CHARACTERS + 1)])
def test_what_cannot_be_searched_for(query: str) -> None:
    with pytest.raises(BadRequest, match="q"):
        parse_query(query)


@pytest.mark.parametrize(
    ("query", "text", "marks"),
    [
        ("card", "my card, the Card and cards", ["card", "Card"]),
        ("car*", "my card, a car and scar", ["card", "car"]),
        ('"credit card"', "a credit card is credit on a card", ["credit card"]),
        ('"credit ca*"', "credit cards", ["credit cards"]),
        ("card credit", "credit card", ["credit", "card"]),
        ('"a b" "b c"', "a b c", ["a b c"]),
        ("straße", "die STRASSE", ["STRASSE"]),
        ("café", "cafe\u0301 noir", ["cafe\u0301"]),
        ("주문*", "주문을 확인", ["주문을"]),
        ("nothing", "something", []),
    ],
)
def test_marks(query: str, text: str, marks: list[str]) -> None:
    assert marked(query, text) == marks


@given(query=st.text(max_size=80), text=st.text(max_size=200))
def test_marks_lie_within_the_text_in_order(query: str, text: str) -> None:
    try:
        terms = parse_query(query)
    except BadRequest:
        return
    found = find_terms(terms, text)
    edges = [edge for mark in (found.marks if found else ()) for edge in mark]
    assert edges == sorted(edges)
    assert all(0 <= edge <= len(text) for edge in edges)


@given(text=st.text(max_size=200))
def test_every_word_of_a_text_is_found_in_it(text: str) -> None:
    for token in tokens(text):
        assert find_terms((Term((token.word,)),), text)


def test_a_word_written_with_a_joiner_is_found_as_it_is_written() -> None:
    text = "نمی\u200cخواهم بروم"
    found = find_terms(parse_query("نمی\u200cخواهم"), text)
    assert found is not None
    assert [text[start:end] for start, end in found.marks] == ["نمی\u200cخواهم"]
