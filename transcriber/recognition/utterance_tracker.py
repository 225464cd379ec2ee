"""The results of one track: which partial is news, how much of it is stable, what an utterance was in the end. Pure.

`stable` rests on two witnesses: the leading words of the decoder's lattice, as far as it is already settled, with a
confidence of STABLE_CONFIDENCE or more, and the best path agreeing with them. Over the recordings we have none of
them changed afterwards, in a partial or in the final; words unchanged for a second in successive partials did, in 43 of
340 utterances (docs/pages/explanation/decisions/006-stable-words.md).
"""

import msgspec
from msgspec.structs import replace

from transcriber.events.schema import Word
from transcriber.recognition.hints import NO_HINTS, Hints
from transcriber.recognition.results import FinalResult, Hypothesis, PartialResult
from transcriber.recognition.timestamp_mapper import TimestampMapper, TimestampSnapshot

STABLE_CONFIDENCE = 0.9
ONSET_MS = 500
"""How long after its beginning the first word of an utterance usually shows up."""


class TrackerSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """The tracker's attributes."""

    timestamps: TimestampSnapshot
    stable_words_changed: int
    utterance: int
    revision: int
    text: str
    stable: list[str]
    start_ms: int
    earliest_ms: int


class UtteranceTracker:
    """Numbers the utterances of one track and decides what is worth reporting."""

    def __init__(self, hints: Hints = NO_HINTS) -> None:
        self.timestamps = TimestampMapper()
        self._hints = hints
        self.stable_words_changed = 0
        """How often a word called stable changed after all."""
        self._utterance = 1
        self._revision = 0
        self._text = ""
        self._stable: list[str] = []
        self._start_ms = 0
        self._earliest_ms = 0

    @property
    def unsettled_words(self) -> int:
        """Words of the latest partial that may still change."""
        return len(self._text.split()) - len(self._stable)

    def update(self, hypothesis: Hypothesis) -> PartialResult | None:
        """The utterance so far: a partial if its text has changed."""
        if hypothesis.text == self._text and not hypothesis.words:
            return None
        self._settle(hypothesis)
        if hypothesis.text == self._text:
            return None
        now_ms = self.timestamps.end_ms(self.timestamps.fed_ms)
        if not self._revision:
            onset_ms = max(self.timestamps.gap_fed_ms, self.timestamps.fed_ms - ONSET_MS)
            self._start_ms = max(self._earliest_ms, self.timestamps.start_ms(onset_ms))
        if hypothesis.words:
            self._start_ms = self._on_stream_clock(hypothesis.words[0]).start_ms
        return self._partial(hypothesis.text, max(now_ms, self._start_ms))

    def end_utterance(
        self, hypothesis: Hypothesis, *, until_ms: int | None = None
    ) -> FinalResult | PartialResult | None:
        """The utterance is over: what it was, or (nothing after all) a partial that takes back what was shown.

        No word of it lies behind `until_ms`.
        """
        self._settle(hypothesis)
        result: FinalResult | PartialResult | None = None
        if hypothesis.words:
            words = self._hints.correct(
                tuple(_cut_off(self._on_stream_clock(word), until_ms) for word in hypothesis.words)
            )
            result = FinalResult(self._utterance, " ".join(word.word for word in words), words)
            self._earliest_ms = words[-1].end_ms
        elif self._text:
            result = self._partial("", self.timestamps.end_ms(self.timestamps.fed_ms))
        if result is not None:
            self._utterance += 1
        self._revision, self._text, self._stable = 0, "", []
        self.timestamps.forget_before(self.timestamps.fed_ms)
        return result

    def snapshot(self) -> TrackerSnapshot:
        """What was reported so far, and the map of times."""
        return TrackerSnapshot(
            timestamps=self.timestamps.snapshot(),
            stable_words_changed=self.stable_words_changed,
            utterance=self._utterance,
            revision=self._revision,
            text=self._text,
            stable=self._stable,
            start_ms=self._start_ms,
            earliest_ms=self._earliest_ms,
        )

    def restore(self, snapshot: TrackerSnapshot) -> None:
        """Go on from there. Raises ValueError."""
        self.timestamps.restore(snapshot.timestamps)
        self.stable_words_changed = snapshot.stable_words_changed
        self._utterance, self._revision = snapshot.utterance, snapshot.revision
        self._text, self._stable = snapshot.text, list(snapshot.stable)
        self._start_ms, self._earliest_ms = snapshot.start_ms, snapshot.earliest_ms

    def _partial(self, text: str, end_ms: int) -> PartialResult:
        self._revision += 1
        self._text = text
        return PartialResult(self._utterance, self._revision, text, len(self._stable), self._start_ms, end_ms)

    def _settle(self, hypothesis: Hypothesis) -> None:
        words = hypothesis.text.split()
        if words[: len(self._stable)] != self._stable:
            self.stable_words_changed += 1
            self._stable = _common(self._stable, words)
        settled: list[str] = []
        for word, known in zip(words, hypothesis.words, strict=False):
            if known.word != word or known.confidence < STABLE_CONFIDENCE:
                break
            settled.append(word)
        if len(settled) > len(self._stable):
            self._stable = settled

    def _on_stream_clock(self, word: Word) -> Word:
        return Word(word.word, *self.timestamps.interval_ms(word.start_ms, word.end_ms), word.confidence)


def _cut_off(word: Word, until_ms: int | None) -> Word:
    if until_ms is None or word.end_ms <= until_ms:
        return word
    return replace(word, start_ms=min(word.start_ms, until_ms), end_ms=until_ms)


def _common(left: list[str], right: list[str]) -> list[str]:
    count = 0
    while count < min(len(left), len(right)) and left[count] == right[count]:
        count += 1
    return left[:count]
