"""A process of its own that decodes recordings with one model folder: a graph on which Vosk aborts ends it alone.

`python -m transcriber.catalog.compile.transcribe FOLDER RECORDING…` prints a JSON line for each track: the
reading of a fresh recognizer and that of one that serves all tracks, both without random dither; each a list of
utterances of [word, start_ms, end_ms, confidence].
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from transcriber.audio.chunk import SAMPLE_RATE_HZ, Band
from transcriber.audio.upsampling import upsampler
from transcriber.audio.wav import read_recording
from transcriber.catalog import describe, static_graph
from transcriber.catalog.vosk_layout import feature_options
from transcriber.recognition.ports import Recognizer
from transcriber.recognition.results import Hypothesis
from transcriber.recognition.vosk_engine import VoskEngine

BLOCK_SAMPLES = SAMPLE_RATE_HZ // 10


def main() -> None:
    """Entry point."""
    folder, *recordings = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="transcriber-") as scratch:
        engine = VoskEngine(describe(undithered(folder, Path(scratch))), dynamic=True)
    recycled = engine.create()
    for recording in recordings:
        for mulaw in read_recording(recording).tracks.values():
            readings = [transcribe(recognizer, mulaw, engine.band) for recognizer in (engine.create(), recycled)]
            print(json.dumps([[_words(utterance) for utterance in reading] for reading in readings]), flush=True)


def undithered(folder: Path, scratch: Path) -> Path:
    """The same model with `--dither=0`: Kaldi otherwise adds random noise, and no text is the same twice."""
    ignored = shutil.ignore_patterns(static_graph.STATIC)
    view = Path(shutil.copytree(folder, scratch / folder.name, copy_function=link, ignore=ignored))
    conf = view / feature_options(view)
    options = conf.read_text()
    conf.unlink()
    conf.write_text(f"{options}\n--dither=0\n")
    return view


def link(source: str, target: str) -> None:
    """What copies a folder without its files' contents: `shutil.copytree`'s copy_function."""
    Path(target).symlink_to(Path(source).absolute())


def transcribe(recognizer: Recognizer, mulaw: bytes, band: Band) -> list[Hypothesis]:
    """A track's utterances that have words, fed 100 ms at a time."""
    resampler = upsampler(band)
    blocks = [resampler.push(mulaw[start : start + BLOCK_SAMPLES]) for start in range(0, len(mulaw), BLOCK_SAMPLES)]
    ended = [recognizer.result() for block in (*blocks, resampler.flush()) if recognizer.accept(block)]
    return [utterance for utterance in (*ended, recognizer.finish()) if utterance.text]


def _words(utterance: Hypothesis) -> list[list[str | float]]:
    return [[word.word, word.start_ms, word.end_ms, word.confidence] for word in utterance.words]


if __name__ == "__main__":
    main()
