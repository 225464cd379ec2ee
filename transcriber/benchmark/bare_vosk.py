"""Vosk alone, as its own examples use it, in a process of its own: what everything else is compared with.

The only module besides `recognition.vosk_engine` that imports vosk: what is measured may not stand between.
"""

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, ParamSpec, TypeVar

from transcriber.audio.chunk import SAMPLE_RATE_HZ, SILENCE, Band
from transcriber.audio.upsampling import upsample
from transcriber.errors import ModelError
from transcriber.runtime import blas_kernels

P = ParamSpec("P")
T = TypeVar("T")
BLOCK_MS = 100
BLOCK_BYTES = 2 * 2 * SAMPLE_RATE_HZ * BLOCK_MS // 1000
WARM_BLOCKS = 50
FRAME_SAMPLES = 160


async def in_subprocess(task: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What the function returns in a process of its own, which ends with this call. Raises ModelError."""
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, task, args, kwargs), daemon=True)
    process.start()
    theirs.close()
    try:
        succeeded, answer = await asyncio.to_thread(_receive, ours)
    finally:
        await asyncio.to_thread(_end, process)
        ours.close()
    if not succeeded:
        raise ModelError(f"bare Vosk: {answer}")
    return answer  # type: ignore[no-any-return]


def transcribe(model: str, band: Band, tracks: Sequence[bytes]) -> list[str]:
    """What a fresh KaldiRecognizer makes of each mu-law track, filled up to whole frames as a line fills it."""
    blas_kernels.configure_openblas()  # with other kernels than the server's, words at the edge of the beam differ
    library = _library(model)
    found = []
    for mulaw in tracks:
        recognizer = _recognizer(library)
        pcm = upsample(mulaw.ljust(-(-len(mulaw) // FRAME_SAMPLES) * FRAME_SAMPLES, bytes([SILENCE])), band)
        results = [
            json.loads(recognizer.Result())["text"]
            for start in range(0, len(pcm), BLOCK_BYTES)
            if recognizer.AcceptWaveform(pcm[start : start + BLOCK_BYTES])
        ]
        results.append(json.loads(recognizer.FinalResult())["text"])
        found.append(" ".join(" ".join(results).split()))
    return found


def measure_cost(model: str, band: Band, tracks: Sequence[bytes], *, warm_on: bytes | None, threads: int) -> float:
    """CPU seconds per second of a track, in real time: BLOCK_MS of every track in turn, a partial each.

    With `warm_on` the recognizers have decoded that before, as those of a pool have; else each is made for its track.
    """
    library, pcm = _library(model), [upsample(mulaw, band) for mulaw in tracks]
    warmed = [_warmed(library, upsample(warm_on, band)) for _ in tracks] if warm_on is not None else []
    before, began_s = time.process_time(), time.monotonic()
    recognizers = warmed or [_recognizer(library) for _ in tracks]

    def feed_in_real_time(first: int) -> None:
        for block in range(-(-max(map(len, pcm)) // BLOCK_BYTES)):
            for track in range(first, len(pcm), threads):
                due_s = began_s + BLOCK_MS / 1000 * (block + track / len(pcm))
                time.sleep(max(0.0, due_s - time.monotonic()))
                _feed(recognizers[track], pcm[track][block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES])
        for recognizer in recognizers[first::threads]:
            recognizer.FinalResult()

    workers = [threading.Thread(target=feed_in_real_time, args=(first,)) for first in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return (time.process_time() - before) / (sum(map(len, tracks)) / SAMPLE_RATE_HZ)


def _feed(recognizer: Any, block: bytes) -> None:
    if recognizer.AcceptWaveform(block):
        json.loads(recognizer.Result())
    else:
        json.loads(recognizer.PartialResult())


def _warmed(library: Any, pcm: bytes) -> Any:
    recognizer = _recognizer(library)
    for start in range(0, min(len(pcm), WARM_BLOCKS * BLOCK_BYTES), BLOCK_BYTES):
        recognizer.AcceptWaveform(pcm[start : start + BLOCK_BYTES])
    recognizer.FinalResult()
    return recognizer


def _library(model: str) -> Any:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import vosk

    vosk.SetLogLevel(-2)
    return vosk.Model(model)


def _recognizer(library: Any) -> Any:
    import vosk

    return vosk.KaldiRecognizer(library, 2 * SAMPLE_RATE_HZ)


def _work(answers: Connection, task: Callable[..., object], args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us ends us
    try:
        answers.send((True, task(*args, **kwargs)))
    except Exception as error:  # sent to the one who asked; the library raises plain Exception
        answers.send((False, f"{type(error).__name__}: {error}"))


def _receive(answers: Connection) -> tuple[bool, Any]:
    try:
        return answers.recv()  # type: ignore[no-any-return]
    except EOFError:
        return False, "its process was ended"


def _end(process: SpawnProcess) -> None:
    process.terminate()
    process.join()
