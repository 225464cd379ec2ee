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


def playing(url: str, path: Path, *, calls: int, seconds: float, spread_s: float = 1.0) -> subprocess.Popen[bytes]:
    """So many two-track calls in real time, their starts spread over `spread_s`; see `bench.caller`."""
    arguments = [url, str(path), str(calls), str(seconds), str(spread_s)]
    return subprocess.Popen([sys.executable, "-m", "bench.caller", *arguments])


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


def loop_cpu_s(process: psutil.Process) -> float:
    """The same of its main thread, where the event loop runs."""
    loop = next(thread for thread in process.threads() if thread.id == process.pid)
    return float(loop.user_time + loop.system_time)
