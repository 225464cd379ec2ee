"""The process that tries a model before it is used, see `catalog.trial`.

`python -m transcriber.recognition.model_trial FOLDER MEMORY_BYTES CPU_S` does what a server will do with the model at
its start and in calls, within limits, and says on its last line how long that took and how much memory.
"""

import json
import os
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

from transcriber.audio.chunk import SAMPLE_RATE_HZ, SILENCE
from transcriber.catalog.model_folder import describe
from transcriber.catalog.static_graph import folder_to_load
from transcriber.catalog.validation import faults
from transcriber.catalog.vosk_layout import WORDS, graph_folder
from transcriber.errors import ModelError, TranscriberError
from transcriber.recognition.options import is_word
from transcriber.recognition.recognizer_pool import RecognizerPool, decode
from transcriber.recognition.vosk_engine import VoskEngine
from transcriber.recognition.warm_up_speech import unheard_speech, warm_speech

NICENESS = 5
LOOK_AT_WORDS, GRAMMAR_WORDS = 1000, 200
PAUSE_MULAW = bytes([SILENCE]) * SAMPLE_RATE_HZ


def main() -> None:
    """Entry point."""
    folder, memory_bytes, cpu_s = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    _hold_to(memory_bytes, cpu_s)
    try:
        load_s, peak_mb = _try(folder)
    except TranscriberError as error:
        print("trial:", json.dumps({"error": str(error)}), flush=True)
        return
    print("trial:", json.dumps({"load_s": load_s, "peak_mb": peak_mb}), flush=True)


def _hold_to(memory_bytes: int, cpu_s: int) -> None:
    """Where memory runs out all the same, or nobody waits any more, it is this process that goes."""
    for kind, most in (
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, least))
    os.nice(NICENESS)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _try(path: Path) -> tuple[float, float]:
    """Seconds until the model and a recognizer are there, and the peak in MB. Raises ModelError."""
    for folder in {path, folder_to_load(path)}:
        if found := faults(folder, arcs=True):
            raise ModelError(f"{folder} is not a complete Vosk model: {', '.join(found)}")
    before = time.monotonic()
    engine = VoskEngine(describe(path))
    first = engine.create()
    load_s = time.monotonic() - before
    first.finish()
    pool = RecognizerPool(engine, keep=1)
    pool.warm(1, warm_speech())
    pool.cost(unheard_speech() + PAUSE_MULAW)
    peak_mb = _peak_mb()
    if engine.takes_grammar:
        _try_grammar(path, engine)
    return load_s, peak_mb


def _try_grammar(path: Path, engine: VoskEngine) -> None:
    """The dynamic graph, which beside a static one only grammars use."""
    if known := _known_words(path, engine):
        decode(engine.create(known), warm_speech() + PAUSE_MULAW, engine)
    elif not engine.dynamic:
        decode(VoskEngine(describe(path), dynamic=True).create(), warm_speech() + PAUSE_MULAW, engine)


def _known_words(path: Path, engine: VoskEngine) -> list[str]:
    """A few words that the model can say; none when their list is inside the graph."""
    try:
        with (graph_folder(path) / WORDS).open(encoding="utf-8") as file:
            listed = [line.split()[0] for line, _ in zip(file, range(LOOK_AT_WORDS), strict=False) if line.strip()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise ModelError(f"the words of {path} cannot be read: {error}") from None
    words = [word for word in listed if is_word(word)]
    unknown = set(engine.unknown(words))
    return [word for word in words if word not in unknown][:GRAMMAR_WORDS]


def _peak_mb() -> float:
    """Of this program alone: getrusage counts what the parent had before it became this one."""
    status = Path("/proc/self/status").read_text()
    [kilobytes] = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kilobytes) * 1024 / 1e6


if __name__ == "__main__":
    main()
