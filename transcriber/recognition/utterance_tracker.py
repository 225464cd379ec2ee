"""What a listener of one track is told: which partial is news, how much of it is firm, when an utterance is over.

`stable` rests on two witnesses: the leading words of the decoder's lattice, as far as it is already settled, with a
confidence of FIRM or more, and the best path agreeing with them. Over the recordings we have none of them changed
afterwards, in a partial or in the final; words unchanged for a second in successive partials did, in 43 of 340
utterances (ARCHITECTURE, decision 6).
"""

from dataclasses import dataclass, replace

from transcriber.events.schema import Word
from transcriber.recognition.hints import NO_HINTS, Hints
from transcriber.recognition.timestamp_mapper import TimestampMapper

FIRM = 0.9
ONSET_MS = 500
"""How long after its beginning the first word of an utterance usually shows up."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a recognizer heard; word times in milliseconds of audio fed to it for this track.

    Of a partial, `words` may be fewer than the words of `text`: the leading ones whose times are known by now.
    """

    text: str
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class PartialResult:
    """A partial that is news; times on the stream's clock."""

    utterance: int
    revision: int
    text: str
    stable: int
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class FinalResult:
    """A finished utterance with words; times on the stream's clock."""

    utterance: int
    text: str
    words: tuple[Word, ...]

    @property
    def confidence(self) -> float:
        """Mean confidence of the words."""
        return round(sum(word.confidence for word in self.words) / len(self.words), 3) if self.words else 0.0


class UtteranceTracker:
    """Numbers the utterances of one track and decides what is worth telling."""

    def __init__(self, hints: Hints = NO_HINTS) -> None:
        self.clock = TimestampMapper()
        self._hints = hints
        self.broken = 0
        """How often a word called stable changed after all."""
        self._utterance = 1
        self._revision = 0
        self._text = ""
        self._stable: list[str] = []
        self._start_ms = 0
        self._earliest_ms = 0

    @property
    def unsettled(self) -> int:
        """Words of the latest draft that may still change."""
        return len(self._text.split()) - len(self._stable)

    def update(self, hypothesis: Hypothesis) -> PartialResult | None:
        """A look at the utterance so far: a draft if its text has changed."""
        if hypothesis.text == self._text and not hypothesis.words:
            return None
        self._firm_up(hypothesis)
        if hypothesis.text == self._text:
            return None
        now_ms = self.clock.end_ms(self.clock.fed_ms)
        if not self._revision:
            onset_ms = max(self.clock.gap_fed_ms, self.clock.fed_ms - ONSET_MS)
            self._start_ms = max(self._earliest_ms, self.clock.start_ms(onset_ms))
        if hypothesis.words:
            self._start_ms = self._placed(hypothesis.words[0]).start_ms
        return self._draft(hypothesis.text, max(now_ms, self._start_ms))

    def close(self, hypothesis: Hypothesis, *, until_ms: int | None = None) -> FinalResult | PartialResult | None:
        """The utterance is over: what it was, or (nothing after all) a draft that takes back what was shown.

        No word of it lies behind `until_ms`.
        """
        self._firm_up(hypothesis)
        spoken: FinalResult | PartialResult | None = None
        if hypothesis.words:
            words = self._hints.correct(tuple(_before(self._placed(word), until_ms) for word in hypothesis.words))
            spoken = FinalResult(self._utterance, " ".join(word.word for word in words), words)
            self._earliest_ms = words[-1].end_ms
        elif self._text:
            spoken = self._draft("", self.clock.end_ms(self.clock.fed_ms))
        if spoken is not None:
            self._utterance += 1
        self._revision, self._text, self._stable = 0, "", []
        self.clock.forget_before(self.clock.fed_ms)
        return spoken

    def _draft(self, text: str, end_ms: int) -> PartialResult:
        self._revision += 1
        self._text = text
        return PartialResult(self._utterance, self._revision, text, len(self._stable), self._start_ms, end_ms)

    def _firm_up(self, hypothesis: Hypothesis) -> None:
        words = hypothesis.text.split()
        if words[: len(self._stable)] != self._stable:
            self.broken += 1
            self._stable = _common(self._stable, words)
        firm: list[str] = []
        for word, known in zip(words, hypothesis.words, strict=False):
            if known.word != word or known.confidence < FIRM:
                break
            firm.append(word)
        if len(firm) > len(self._stable):
            self._stable = firm

    def _placed(self, word: Word) -> Word:
        return Word(word.word, *self.clock.interval_ms(word.start_ms, word.end_ms), word.confidence)


def _before(word: Word, until_ms: int | None) -> Word:
    if until_ms is None or word.end_ms <= until_ms:
        return word
    return replace(word, start_ms=min(word.start_ms, until_ms), end_ms=until_ms)


def _common(left: list[str], right: list[str]) -> list[str]:
    count = 0
    while count < min(len(left), len(right)) and left[count] == right[count]:
        count += 1
    return left[:count]
