"""What listeners are results: news only, firm words that stay, numbers that run on, times where words were spoken."""

from transcriber.events.schema import Word
from transcriber.recognition.results import FinalResult, Hypothesis, PartialResult
from transcriber.recognition.utterance_tracker import UtteranceTracker


def words(text: str, *, confidence: float = 1.0, from_ms: int = 0) -> tuple[Word, ...]:
    return tuple(
        Word(word, from_ms + 200 * n, from_ms + 200 * n + 150, confidence) for n, word in enumerate(text.split())
    )


def listening(at_ms: int = 1000, seconds: int = 5) -> UtteranceTracker:
    """A tracker that was fed audio which lies at `at_ms` on the stream's clock."""
    tracker = UtteranceTracker()
    tracker.timestamps.feed(8000 * seconds, at_ms * 8)
    return tracker


def test_only_changes_are_news() -> None:
    tracker = listening()
    results = [tracker.update(Hypothesis(text)) for text in ("", "my", "my", "my number", "my number", "my numb")]
    assert [partial and (partial.revision, partial.text) for partial in results] == [
        None,
        (1, "my"),
        None,
        (2, "my number"),
        None,
        (3, "my numb"),
    ]


def test_words_are_stable_when_lattice_and_best_path_agree() -> None:
    tracker = listening()
    tracker.update(Hypothesis("my number is"))
    sure = words("my number") + words("it", from_ms=400)
    partial = tracker.update(Hypothesis("my number is four", sure))
    assert partial is not None
    assert partial.stable == 2
    unsure = listening().update(Hypothesis("my number", words("my number", confidence=0.6)))
    assert unsure is not None
    assert unsure.stable == 0


def test_stable_words_do_not_shrink_when_no_words_are_known() -> None:
    tracker = listening()
    tracker.update(Hypothesis("my number is", words("my number")))
    partial = tracker.update(Hypothesis("my number is four"))
    assert partial is not None
    assert partial.stable == 2
    assert tracker.stable_words_changed == 0


def test_a_broken_promise_is_counted() -> None:
    tracker = listening()
    tracker.update(Hypothesis("my number is", words("my number is")))
    partial = tracker.update(Hypothesis("my numbers"))
    assert partial is not None
    assert partial.stable == 1
    assert tracker.stable_words_changed == 1


def test_utterances_are_numbered_and_placed_on_the_stream() -> None:
    tracker = listening(at_ms=60_000)
    first = tracker.end_utterance(Hypothesis("hello there", words("hello there", confidence=0.8)))
    assert first == FinalResult(
        1, "hello there", (Word("hello", 60_000, 60_150, 0.8), Word("there", 60_200, 60_350, 0.8))
    )
    assert first.confidence == 0.8
    tracker.timestamps.feed(8000, 70_000 * 8)
    partial = tracker.update(Hypothesis("yes", words("yes", from_ms=5000)))
    assert partial == PartialResult(2, 1, "yes", 1, 70_000, 71_000)
    second = tracker.end_utterance(Hypothesis("yes", words("yes", from_ms=5000)))
    assert isinstance(second, FinalResult)
    assert (second.utterance, second.words[0].start_ms) == (2, 70_000)


def test_silence_is_no_utterance() -> None:
    tracker = listening()
    assert tracker.end_utterance(Hypothesis("")) is None
    spoken = tracker.end_utterance(Hypothesis("yes", words("yes")))
    assert isinstance(spoken, FinalResult)
    assert spoken.utterance == 1


def test_words_that_were_nothing_after_all_are_taken_back() -> None:
    tracker = listening()
    tracker.update(Hypothesis("the"))
    taken_back = tracker.end_utterance(Hypothesis(""))
    assert isinstance(taken_back, PartialResult)
    assert (taken_back.utterance, taken_back.revision, taken_back.text) == (1, 2, "")
    after = tracker.update(Hypothesis("yes"))
    assert after is not None
    assert (after.utterance, after.revision) == (2, 1)
