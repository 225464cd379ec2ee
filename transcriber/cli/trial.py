"""Loading a model in a process of its own, so that one on which Vosk crashes takes nothing else with it.

`python -m transcriber.cli.trial FOLDER` is that process.
"""

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from transcriber.catalog.folder import ModelFolder, describe
from transcriber.errors import ModelError, TranscriberError

GIVE_UP_S = 600
SECOND = bytes(32_000)


@dataclass(frozen=True, slots=True)
class Trial:
    """`load_s`: until the model and one recognizer are there; `peak_mb`: the whole process, having heard a second."""

    load_s: float
    peak_mb: float


def try_out(folder: ModelFolder) -> Trial:
    """Load it, make a recognizer, let it hear a second of silence. Raises ModelError with how that ended."""
    command = [sys.executable, "-m", "transcriber.cli.trial", str(folder.path)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            command, capture_output=True, text=True, errors="replace", check=False, timeout=GIVE_UP_S
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{folder.name} does not load within {GIVE_UP_S} s") from None
    if done.returncode < 0:
        raise ModelError(f"Vosk crashes on {folder.name} ({signal.Signals(-done.returncode).name})")
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise ModelError(f"{folder.name} does not load: {said[-1]}") from None
    if "error" in answer:
        raise ModelError(str(answer["error"]))
    return Trial(**answer)


def main() -> None:
    """The process of its own: one line of JSON on stdout."""
    from transcriber.engine.vosk import VoskEngine

    before = time.monotonic()
    try:
        recognizer = VoskEngine(describe(Path(sys.argv[1]))).create()
    except TranscriberError as error:
        print(json.dumps({"error": str(error)}))
        return
    load_s = time.monotonic() - before
    recognizer.accept(SECOND)
    recognizer.finish()
    print(json.dumps({"load_s": load_s, "peak_mb": _peak_mb()}))


def _peak_mb() -> float:
    """Of this program alone: getrusage counts what the parent had before it became this one."""
    status = Path("/proc/self/status").read_text()
    [kilobytes] = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kilobytes) * 1024 / 1e6


if __name__ == "__main__":
    main()
