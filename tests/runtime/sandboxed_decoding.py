"""Decodes the sample calls with the bundled model in two forked children, one of them in a sandbox; see `test_sandbox`.

Prints JSON: what both heard, and how the one in the sandbox ended when Vosk was made to want more memory than it may.
"""

import gc
import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transcriber.audio import sample_calls
from transcriber.audio.chunk import AudioChunk
from transcriber.audio.upsampling import shipped_network, upsample
from transcriber.audio.wav import read_recording
from transcriber.catalog import find
from transcriber.errors import ModelError
from transcriber.recognition.options import RecognitionOptions
from transcriber.recognition.ports import Recognizer
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.recognition.track_decoder import TrackDecoder
from transcriber.recognition.vosk_engine import VoskEngine
from transcriber.recognition.warm_up_speech import warm_speech
from transcriber.runtime import sandbox

CHUNK_SAMPLES = 4000
GROWTH_BYTES = 200 << 20


def _texts(pool: RecognizerPool, mulaw: bytes, options: RecognitionOptions) -> list[str]:
    decoder, texts = TrackDecoder(pool, options), []
    for start in range(0, len(mulaw), CHUNK_SAMPLES):
        results = decoder.feed([AudioChunk("", mulaw[start : start + CHUNK_SAMPLES], start)], last=False)
        texts += [str(result) for result in results]
    return texts + [str(result) for result in decoder.feed([], last=True)]


def _hear(pool: RecognizerPool, tracks: list[bytes]) -> dict[str, Any]:
    texts = [text for track in tracks for text in _texts(pool, track, RecognitionOptions())]
    only = RecognitionOptions(grammar=("yes", "no", "two"), vad_enabled=False)
    refused = ""
    try:
        pool.take(("qwxyz",))
    except ModelError:
        logging.exception("of a grammar")
        refused = "refused"
    gc.collect()
    upper_band = sum(upsample(tracks[0][:CHUNK_SAMPLES], "wide"))
    return {"texts": texts, "grammar": _texts(pool, tracks[0], only), "refused": refused, "band": upper_band}


def _child(pool: RecognizerPool, tracks: list[bytes], *, inside: bool) -> tuple[dict[str, Any], int]:
    answer_from, answer_to = os.pipe()
    parent_pid, pid = os.getpid(), os.fork()
    if pid == 0:
        report = None
        if inside:
            report = sandbox.enter(parent_pid=parent_pid, keep=(answer_to,), growth_bytes=GROWTH_BYTES, name="w")
        answer: dict[str, Any] = {"sandbox": asdict(report) if report else None}
        answer["heard"] = _hear(pool, tracks)
        with os.fdopen(answer_to, "w") as answers:
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
            if inside:
                answers.write(json.dumps(_use_up_memory(pool, tracks[0])))
        os._exit(0)
    os.close(answer_to)
    with os.fdopen(answer_from) as answers:
        lines = [json.loads(line) for line in answers]
    _, status = os.waitpid(pid, 0)
    return {**lines[0], "end": lines[1:]}, os.waitstatus_to_exitcode(status)


def _use_up_memory(pool: RecognizerPool, mulaw: bytes) -> str:
    """Recognizers until there is no more; each has matrices of its own as soon as it hears something."""
    speech = upsample(mulaw[:CHUNK_SAMPLES], pool.engine.band)
    taken: list[Recognizer] = []
    try:
        while len(taken) < 100_000:
            taken.append(pool.engine.create())
            taken[-1].accept(speech)
    except Exception:  # Vosk raises plain ones
        return "refused"
    return "no end"


def main() -> None:
    """Entry point."""
    pool = RecognizerPool(VoskEngine(find("en-demo", Path("nothing-is-here")), dynamic=True), keep=4)
    pool.warm(2, warm_speech())
    shipped_network()
    files = [sample_calls.path(name) for name in sample_calls.names()]
    tracks = [track for file in files for track in read_recording(file).tracks.values()]
    outside, _ = _child(pool, tracks, inside=False)
    inside, status = _child(pool, tracks, inside=True)
    answer = {"inside": inside["heard"], "outside": outside["heard"], "sandbox": inside["sandbox"]}
    print(json.dumps({**answer, "out of memory": status or inside["end"][0]}))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
