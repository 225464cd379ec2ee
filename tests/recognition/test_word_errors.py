"""Word and character errors against alignments worked out by hand and a plain reference implementation."""

import random
from functools import cache

import pytest

from transcriber.recognition.word_errors import Errors, word_errors, words_of


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("", "", Errors(0, 0, 0, 0)),
        ("", "uh oh", Errors(0, 2, 0, 0)),
        ("one two", "", Errors(0, 0, 2, 2)),
        ("one two three", "one two three", Errors(0, 0, 0, 3)),
        ("one two three", "one too three", Errors(1, 0, 0, 3)),
        ("one two three", "one three", Errors(0, 0, 1, 3)),
        ("one two three", "one two two three", Errors(0, 1, 0, 3)),
        ("a b c d", "x b d e", Errors(3, 0, 0, 4)),
        ("a b", "b a a b b a", Errors(0, 4, 0, 2)),
    ],
)
def test_counts(reference: str, hypothesis: str, expected: Errors) -> None:
    assert word_errors(reference.split(), hypothesis.split()) == expected


def test_characters_by_the_same_function() -> None:
    assert word_errors("kitten", "sitting") == Errors(2, 1, 0, 6)


def test_rates() -> None:
    assert Errors(1, 1, 1, 12).rate == 0.25
    assert Errors().rate == 0.0
    assert Errors(insertions=3).rate == 1.0
    assert Errors(1, 2, 3, 10) + Errors(4, 5, 6, 20) == Errors(5, 7, 9, 30)
    assert Errors(1, 2, 3, 10).total == 6


def test_the_fewest_edits_of_random_texts() -> None:
    dice = random.Random(5)
    for _ in range(200):
        reference, hypothesis = ("".join(dice.choices("abc", k=dice.randrange(9))) for _ in range(2))

        @cache
        def distance(left: str, right: str) -> int:
            if not left or not right:
                return len(left) + len(right)
            if left[0] == right[0]:
                return distance(left[1:], right[1:])
            return 1 + min(distance(left[1:], right), distance(left, right[1:]), distance(left[1:], right[1:]))

        errors = word_errors(reference, hypothesis)
        assert errors.total == distance(reference, hypothesis)
        assert len(hypothesis) - len(reference) == errors.insertions - errors.deletions


def test_case_and_punctuation_do_not_count() -> None:
    assert words_of("Hello, it's four-fifteen. 'Tis  fine!") == ["hello", "it's", "four", "fifteen", "'tis", "fine"]
    assert words_of(" ... ' ") == []
    assert words_of("안녕하세요, 여보세요?") == ["안녕하세요", "여보세요"]
