"""Vosk behind the Engine port; the only file that imports vosk.

Vosk aborts the process on a folder it cannot read, so folders are looked at first. One `Model` is shared by all
recognizers; a recognizer belongs to one thread at a time. OpenBLAS must not start threads of its own: the lanes are the
threads.
"""

import json
import os
from typing import Any

from transcriber import graphs
from transcriber.catalog import ModelFolder
from transcriber.core.transcript import Word
from transcriber.core.utterance import Hypothesis
from transcriber.errors import ModelError

RATE = 16000
LOOK_EVERY_MS = 500
"""How often the settled part of the lattice is read: its words and times cost as much as 60 ms of decoding."""
NO_ANSWER = Hypothesis("")


class VoskEngine:
    """A loaded Vosk model. Loading takes 0.03 s (demo) to some seconds: not on the event loop.

    The model's static graph is used where it is there; `dynamic` refuses it, as run-time grammars must.
    """

    def __init__(self, folder: ModelFolder, *, dynamic: bool = False) -> None:
        folder.check()
        path = folder.path if dynamic else graphs.preferred(folder.path)
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        import vosk

        vosk.SetLogLevel(-2)  # errors only: the library's warnings are about its own lattices
        self._vosk = vosk
        try:
            self._model = vosk.Model(str(path))
        except Exception as error:  # the library raises plain Exception
            raise ModelError(f"Vosk cannot load the model in {path}: {error}") from None
        self.dynamic = graphs.is_dynamic(path)
        """Whether what was loaded takes run-time grammars; a static graph passes over them in silence."""
        self.model = folder.name
        self.language = folder.language
        self.band = folder.band

    def create(self) -> "VoskRecognizer":
        """A new, cold recognizer: 1 ms (demo) to 100 ms (large models)."""
        recognizer = self._vosk.KaldiRecognizer(self._model, RATE)
        recognizer.SetWords(True)
        return VoskRecognizer(recognizer)


class VoskRecognizer:
    """One KaldiRecognizer, usable for one track after another.

    The library counts audio on and on; `finish` moves our zero, and makes it drop features and speaker adaptation, so
    that nothing of one track reaches the next.
    """

    def __init__(self, recognizer: Any) -> None:
        self._recognizer = recognizer
        self._zero_ms = 0.0
        self._fed_ms = 0.0
        self._look_at_ms = 0.0

    def accept(self, pcm: bytes) -> Hypothesis | None:
        """Feed 16 kHz 16-bit mono PCM; the utterance, if it ended here."""
        if not pcm:
            return None
        self._fed_ms += len(pcm) / 2 / RATE * 1000
        return self._words(self._recognizer.Result()) if self._recognizer.AcceptWaveform(pcm) else None

    def partial(self) -> Hypothesis:
        """The utterance so far; every LOOK_EVERY_MS also the words that the lattice has settled on."""
        text = json.loads(self._recognizer.PartialResult()).get("partial", "")
        if not text or self._fed_ms < self._look_at_ms:
            return Hypothesis(text)
        self._look_at_ms = self._fed_ms + LOOK_EVERY_MS
        self._recognizer.SetPartialWords(True)
        settled = json.loads(self._recognizer.PartialResult())
        self._recognizer.SetPartialWords(False)
        return Hypothesis(text, self._times(settled.get("partial_result", ())))

    def finish(self) -> Hypothesis:
        """The rest of the track; afterwards the recognizer is as new."""
        rest = self._words(self._recognizer.FinalResult())
        self._zero_ms += self._fed_ms
        self._fed_ms = self._look_at_ms = 0.0
        return rest

    def _words(self, answer: str) -> Hypothesis:
        self._look_at_ms = self._fed_ms
        data = json.loads(answer)
        text = data.get("text", "")
        return Hypothesis(text, self._times(data.get("result", ()))) if text else NO_ANSWER

    def _times(self, words: list[dict[str, Any]]) -> tuple[Word, ...]:
        return tuple(
            Word(
                word["word"],
                round(word["start"] * 1000 - self._zero_ms),
                round(word["end"] * 1000 - self._zero_ms),
                round(word["conf"], 3),
            )
            for word in words
        )
