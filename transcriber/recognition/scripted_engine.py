"""An engine without a model, for tests and for measuring everything but recognition: its words are a script."""

import time
from collections.abc import Iterable, Sequence

from transcriber.audio.chunk import PCM_BYTES_PER_SAMPLE, SAMPLES_PER_MS, Band
from transcriber.events.schema import Word
from transcriber.recognition.ports import Bookmark
from transcriber.recognition.results import Hypothesis

WORD_MS = 250


class ScriptedEngine:
    """Its recognizers say the script's utterances one after another, a word per WORD_MS of audio fed, over and over.

    `create_s`: how long it takes to make a recognizer. An utterance ends with its last word.
    """

    def __init__(self, script: Sequence[str] = ("one two three four",), *, create_s: float = 0.0) -> None:
        self.model = "scripted"
        self.language = "en"
        self.band: Band = "telephone"
        self.adapts = False
        self.created = 0
        self._script = [line.split() for line in script]
        self._create_s = create_s

    @property
    def takes_grammar(self) -> bool:
        """It says what the script says."""
        return False

    def unknown(self, words: Iterable[str]) -> tuple[str, ...]:
        """What the script never says."""
        known = {word for line in self._script for word in line}
        return tuple(word for word in words if word not in known)

    def create(self, grammar: Sequence[str] = ()) -> "ScriptedRecognizer":
        """A recognizer at the beginning of the script."""
        self.created += 1
        if self._create_s:
            time.sleep(self._create_s)
        return ScriptedRecognizer(self._script)


class ScriptedRecognizer:
    """Knows the time by the audio fed alone."""

    def __init__(self, script: Sequence[Sequence[str]]) -> None:
        self._script = script
        self._line = 0
        self._fed_ms = 0.0
        self._since_ms = 0.0

    def accept(self, pcm: bytes) -> bool:
        """Counts the audio; whether the last word of the utterance was said."""
        self._fed_ms += len(pcm) / (PCM_BYTES_PER_SAMPLE * SAMPLES_PER_MS)
        return self._fed_ms - self._since_ms >= WORD_MS * len(self._script[self._line])

    def result(self) -> Hypothesis:
        """What was said of the utterance; the next one begins."""
        said = self.partial()
        self._since_ms = max(self._fed_ms, self._since_ms) if not said.words else float(said.words[-1].end_ms)
        self._line = (self._line + 1) % len(self._script)
        return said

    def partial(self, *, settled: bool = True) -> Hypothesis:
        """The words said so far."""
        line = self._script[self._line]
        said = line[: int((self._fed_ms - self._since_ms) / WORD_MS)]
        times = [self._since_ms + WORD_MS * number for number in range(len(said) + 1)]
        words = [
            Word(word, round(start), round(end), 1.0) for word, start, end in zip(said, times, times[1:], strict=False)
        ]
        return Hypothesis(" ".join(said), tuple(words))

    def bookmark(self) -> Bookmark:
        """The line, milliseconds of audio fed, and when the line began."""
        return (float(self._line), self._fed_ms, self._since_ms)

    def resume(self, context: bytes, bookmark: Bookmark) -> None:
        """On with the line. What the context says was said before. Raises ValueError."""
        line, self._fed_ms, self._since_ms = bookmark or (0.0, 0.0, 0.0)
        self._line = int(line) % len(self._script)

    def finish(self) -> Hypothesis:
        """What was said of the last utterance; then back to the beginning."""
        rest = self.partial()
        self._line, self._fed_ms, self._since_ms = 0, 0.0, 0.0
        return rest
