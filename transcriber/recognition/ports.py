"""What recognition needs of a speech engine: small protocols, so that Vosk can be swapped. Pure."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from transcriber.audio.chunk import Band
from transcriber.recognition.results import Hypothesis

Bookmark = tuple[float, ...]
"""A recognizer's own numbers, some. Empty: of one that has heard nothing."""


class Recognizer(Protocol):
    """Decodes one track. Never used by two threads at once; every method may take long."""

    def accept(self, pcm: bytes) -> bool:
        """Feed 16 kHz 16-bit little-endian mono PCM. True: the model holds the utterance to be over."""

    def partial(self, *, settled: bool) -> Hypothesis:
        """The utterance so far; its `words`, which cost more, only if `settled` is asked for, and not every time."""

    def result(self) -> Hypothesis:
        """End the utterance: what it was. What the recognizer learnt about the speaker stays."""

    def bookmark(self) -> Bookmark:
        """Right after a result, what another recognizer must know to go on from here, besides the latest audio."""

    def resume(self, context: bytes, bookmark: Bookmark) -> None:
        """Before anything was fed: go on as the one that gave the bookmark, after this PCM. What it said is dropped."""

    def finish(self) -> Hypothesis:
        """End the track: what was still unsaid. Afterwards nothing of this track is left in the recognizer."""


class Engine(Protocol):
    """A loaded model that makes recognizers. `create` may take long, so never on the event loop."""

    @property
    def model(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def band(self) -> Band: ...
    @property
    def adapts(self) -> bool:
        """Whether its recognizers adapt to the speaker, over the whole track."""

    @property
    def takes_grammar(self) -> bool:
        """Whether `create` can close the vocabulary."""

    def create(self, grammar: Sequence[str] = ()) -> Recognizer:
        """A cold recognizer; with a grammar it knows these phrases only. Raises ModelError."""

    def unknown(self, words: Iterable[str]) -> tuple[str, ...]:
        """Those of the words that the model has never heard of, in order."""
