"""A server as a child process for the benches, and callers in another one. Loopback only, bounded, ended by pid."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

PLAYER = """
import asyncio, sys
from transcriber.audio.wav import Recording, read_recording
from transcriber.telephony.simulator import CallIds, Target, dial
url, path, calls, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
whole = read_recording(__import__("pathlib").Path(path))
part = Recording({track: mulaw[: int(seconds * 8000)] for track, mulaw in whole.tracks.items()})
spread = float(sys.argv[5])
async def one(number):
    await asyncio.sleep(spread * number / calls)
    await dial(Target(url=url), part, ids=CallIds(), speed=1.0)
async def main():
    await asyncio.gather(*(one(number) for number in range(calls)))
asyncio.run(main())
"""


def playing(url: str, path: Path, *, calls: int, seconds: float, spread_s: float = 1.0) -> subprocess.Popen[bytes]:
    """So many two-track calls in real time, their starts spread over `spread_s`."""
    arguments = [url, str(path), str(calls), str(seconds), str(spread_s)]
    return subprocess.Popen([sys.executable, "-c", PLAYER, *arguments])


@contextmanager
def served(*command: str, room: int = 10_000) -> Iterator[tuple[str, psutil.Process]]:
    """(address, process) of a child that says `ready on ADDRESS;`. `room`: its MAX_TRACKS."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRANSCRIBER_")}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        child = subprocess.Popen(
            [sys.executable, "-m", *command, "--data-dir", folder, "--port", "0", "--max-tracks", str(room)],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        try:
            stderr = child.stderr or iter(())
            line = next(line for line in stderr if "ready on " in line)
            reader = asyncio.new_event_loop().run_in_executor(None, _drain, child)
            yield line.split("ready on ")[1].split(";")[0].strip(), psutil.Process(child.pid)
        finally:
            child.terminate()
            child.wait(40)
        del reader


def _drain(child: subprocess.Popen[str]) -> None:
    for _ in child.stderr or ():
        pass


def cpu_s(process: psutil.Process) -> float:
    """User and system seconds so far."""
    times = process.cpu_times()
    return float(times.user + times.system)
