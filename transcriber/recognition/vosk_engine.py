"""Vosk behind the Engine port; the only file that imports vosk.

Vosk aborts the process on a folder it cannot read, so folders are looked at first. One `Model` is shared by all
recognizers. All of it belongs to one thread.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from transcriber.audio.chunk import PCM_RATE_HZ
from transcriber.catalog import ModelFolder, static_graph
from transcriber.errors import ModelError
from transcriber.events.schema import Word
from transcriber.recognition.options import UNKNOWN, is_word
from transcriber.recognition.ports import Bookmark
from transcriber.recognition.results import Hypothesis
from transcriber.runtime import blas_kernels

LATTICE_EVERY_MS = 1000
"""How often the settled part of the lattice is read: its words and times cost as much as 60 ms of decoding."""
NUDGE = bytes(2 * PCM_RATE_HZ // 100)
"""10 ms of silence: right after a result the library takes the end of a track for done and keeps what it learnt."""
NO_ANSWER = Hypothesis("")


class VoskEngine:
    """A loaded Vosk model. Loading takes 0.03 s (demo) to some seconds: not on the event loop.

    The model's static graph is used where it is there; `dynamic` refuses it, as run-time grammars must.
    """

    def __init__(self, folder: ModelFolder, *, dynamic: bool = False) -> None:
        folder.check()
        path = folder.path if dynamic else static_graph.folder_to_load(folder.path)
        blas_kernels.configure_openblas()
        import vosk

        vosk.SetLogLevel(-2)  # errors only: the library's warnings are about its own lattices
        self._vosk = vosk
        self._model = self._load(path)
        self.dynamic = static_graph.is_dynamic(path)
        """Whether what was loaded composes its graph while it decodes."""
        self._folder = folder
        self._dynamic = self._model if path == folder.path else None
        self._takes_grammar = folder.dynamic
        self.model = folder.name
        self.language = folder.language
        self.adapts = (path / "ivector" / "final.ie").is_file()
        self.band = folder.band

    @property
    def takes_grammar(self) -> bool:
        """Only a graph that is composed while decoding can be given another language model; it is loaded for that."""
        return self._takes_grammar

    def create(self, grammar: Sequence[str] = ()) -> "VoskRecognizer":
        """A new, cold recognizer: 1 ms (demo) to 100 ms (large models); with a grammar it knows nothing else."""
        model, arguments = (self._grammar_model(), (self._grammar(grammar),)) if grammar else (self._model, ())
        try:
            recognizer = self._vosk.KaldiRecognizer(model, PCM_RATE_HZ, *arguments)
        except Exception as error:  # the library raises plain Exception
            raise ModelError(f"Vosk cannot make a recognizer of model {self.model}: {error}") from None
        recognizer.SetWords(True)
        return VoskRecognizer(recognizer)

    def _grammar(self, phrases: Sequence[str]) -> str:
        """As the library wants it. It aborts on an epsilon and crashes on an empty list, so only words get there."""
        if unknown := self.unknown(dict.fromkeys(word for phrase in phrases for word in phrase.split())):
            raise ModelError(f"model {self.model} does not know {', '.join(unknown)}: no grammar can hold them")
        return json.dumps([*phrases, UNKNOWN])

    def _grammar_model(self) -> Any:
        """The dynamic graph: what was loaded, or, beside a static one, loaded when the first call asks for it."""
        if not self.takes_grammar:
            raise ModelError(f"model {self.model} has a fixed graph and takes no grammar")
        if self._dynamic is None:
            self._dynamic = self._load(self._folder.path)
        return self._dynamic

    def _load(self, path: Path) -> Any:
        try:
            return self._vosk.Model(str(path))
        except Exception as error:  # the library raises plain Exception
            raise ModelError(f"Vosk cannot load the model in {path}: {error}") from None

    def unknown(self, words: Iterable[str]) -> tuple[str, ...]:
        """Words without a pronunciation in the model; symbols of its graph (`<eps>`, `#0`) are none, known or not."""
        find = self._model.vosk_model_find_word
        return tuple(word for word in words if not is_word(word) or find(word) <= 0)


class VoskRecognizer:
    """One KaldiRecognizer, usable for one track after another.

    The library counts audio on and on; `finish` moves our zero, and makes it drop features and speaker adaptation, so
    that nothing of one track reaches the next.
    """

    def __init__(self, recognizer: Any) -> None:
        self._recognizer = recognizer
        self._in_utterance = False
        self._zero_ms = 0.0
        self._skipped_ms = 0.0
        """Of the track, that other recognizers were fed."""
        self._fed_ms = 0.0
        self._lattice_at_ms = 0.0
        self._answer = self._text = ""
        """The latest answer to `partial`, and what was in it: an answer is mostly the one before."""

    def accept(self, pcm: bytes) -> bool:
        """Feed 16 kHz 16-bit mono PCM; whether the model's own rules would end the utterance here."""
        if not pcm:
            return False
        self._in_utterance = True
        self._fed_ms += len(pcm) / 2 / PCM_RATE_HZ * 1000
        return bool(self._recognizer.AcceptWaveform(pcm))

    def partial(self, *, settled: bool) -> Hypothesis:
        """The utterance so far; if asked for, every LATTICE_EVERY_MS also the words that the lattice has settled on."""
        answer = self._recognizer.PartialResult()
        text = self._text if answer == self._answer else json.loads(answer).get("partial", "")
        self._answer, self._text = answer, text
        if not text or not settled or self._fed_ms < self._lattice_at_ms:
            return Hypothesis(text)
        self._lattice_at_ms = self._fed_ms + LATTICE_EVERY_MS
        self._recognizer.SetPartialWords(True)
        lattice = json.loads(self._recognizer.PartialResult())
        self._recognizer.SetPartialWords(False)
        return Hypothesis(text, self._times(lattice.get("partial_result", ())))

    def result(self) -> Hypothesis:
        """The utterance; speaker adaptation goes on."""
        return self._words(self._recognizer.Result())

    def bookmark(self) -> Bookmark:
        """The milliseconds of its track that it and those before it were fed."""
        return (self._skipped_ms + self._fed_ms,)

    def resume(self, context: bytes, bookmark: Bookmark) -> None:
        """The library decodes the context as an utterance, which is dropped. Raises ValueError."""
        [fed_ms] = bookmark or (0.0,)
        self._skipped_ms = fed_ms - len(context) / 2 / PCM_RATE_HZ * 1000
        if context:
            self.accept(context)
            self.result()

    def finish(self) -> Hypothesis:
        """The rest of the track; afterwards the recognizer is as new."""
        if not self._in_utterance:
            self.accept(NUDGE)
        rest = self._words(self._recognizer.FinalResult())
        self._zero_ms += self._fed_ms
        self._fed_ms = self._lattice_at_ms = self._skipped_ms = 0.0
        return rest

    def _words(self, answer: str) -> Hypothesis:
        self._in_utterance = False
        self._lattice_at_ms = self._fed_ms
        data = json.loads(answer)
        text = data.get("text", "")
        return Hypothesis(text, self._times(data.get("result", ()))) if text else NO_ANSWER

    def _times(self, words: list[dict[str, Any]]) -> tuple[Word, ...]:
        zero_ms = self._zero_ms - self._skipped_ms
        return tuple(
            Word(
                word["word"],
                round(word["start"] * 1000 - zero_ms),
                round(word["end"] * 1000 - zero_ms),
                round(word["conf"], 3),
            )
            for word in words
        )
