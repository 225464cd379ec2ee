"""Hints on what a decoder heard: unsure words that sound like one become it, sure ones never."""

import pytest

from transcriber.events.schema import Word
from transcriber.recognition.hints import Hints, sounds


def heard(text: str, *, confidence: float = 0.5) -> tuple[Word, ...]:
    return tuple(Word(word, 100 * at, 100 * at + 100, confidence) for at, word in enumerate(text.split()))


def text(words: tuple[Word, ...]) -> str:
    return " ".join(word.word for word in words)


@pytest.mark.parametrize(
    ("hint", "said", "written"),
    [
        ("Kubernetes", "we run kuber net ease here", "we run Kubernetes here"),
        ("Siobhan", "is she van in", "is she van in"),  # spelling by sound has its limits
        ("Vosk Server", "start the fosk serve are now", "start the Vosk Server are now"),
        ("Grafana", "open graph anna please", "open Grafana please"),
        ("다솜이", "다소미 씨", "다솜이 씨"),
        ("ID", "i did", "i did"),
    ],
)
def test_what_sounds_alike_is_written_as_the_hint(hint: str, said: str, written: str) -> None:
    assert text(Hints((hint,)).correct(heard(said))) == written


def test_sure_words_stay() -> None:
    said = heard("open graph anna please", confidence=0.95)
    assert Hints(("Grafana",)).correct(said) == said


def test_times_and_confidence_stay_within_what_was_heard() -> None:
    corrected = Hints(("Vosk Server",)).correct(heard("start the fosk serve are now"))
    first, second = corrected[2:4]
    assert (first.start_ms, first.end_ms, second.start_ms, second.end_ms) == (200, 280, 280, 400)
    assert 0 < first.confidence < 0.5


def test_the_best_of_several_hints_wins() -> None:
    assert text(Hints(("Grafton", "Grafana")).correct(heard("graph anna"))) == "Grafana"


def test_without_hints_nothing_changes() -> None:
    assert Hints(()).correct(heard("a b")) == heard("a b")
    assert Hints(("?!",)).correct(()) == ()


def test_similar_letters_sound_alike() -> None:
    assert sounds("Phillip") == sounds("Filip")
    assert sounds("Zoë") == sounds("zoe")
