"""Ingest alone: two-track calls in real time on a server with the scripted engine, whose process has one core.

Steps up until the 99th percentile of a second's frames is heard 100 ms late. The recognition worker, which has no words
to find but looks for speech, and the caller (`bench.caller`) have the other cores. Redis shares the server's. How much
of a core each takes is said as well: where the others are short of CPU, they are the limit, not the server.
"""

import os
import tempfile
import time
from pathlib import Path

import psutil

from bench import recordings
from bench.server import cpu_s, loop_cpu_s, playing, served
from transcriber.audio import sample_calls

SECONDS = 12
LATE_MS = 100
OTHER_CORES = set(range(1, os.cpu_count() or 1)) or {0}


def main() -> None:
    """Entry point."""
    parser = recordings.parser(__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=[100, 150, 200, 250, 300, 400, 500])
    args = parser.parse_args()
    recordings.heading()
    path = sample_calls.path("02_dental_appointment")
    for calls in args.steps:
        with tempfile.TemporaryDirectory() as folder:
            late_file = Path(folder) / "late"
            with served("bench.scripted_server", "--late-file", str(late_file)) as (url, process):
                place(process)
                player = playing(url, path, calls=calls, seconds=SECONDS, spread_s=3)
                os.sched_setaffinity(player.pid, OTHER_CORES)
                caller = psutil.Process(player.pid)
                time.sleep(5)
                before, began, late = usage(process, caller), time.monotonic(), []
                for _ in range(6):
                    time.sleep(1)
                    late.append(float(late_file.read_text() or 0))
                wall_s = time.monotonic() - began
                core, loop, others, callers = (
                    (now - then) / wall_s for now, then in zip(usage(process, caller), before, strict=True)
                )
                player.wait(120)
        late.sort()
        print(
            f"{2 * calls:4} tracks: p99 of a second's frames late by {late[3]:.0f} ms (worst second {late[-1]:.0f}), "
            f"{core:.2f} of a core, {1000 * core / (2 * calls):.1f} ms per s of a track; "
            f"the event loop {1000 * loop / (2 * calls):.2f} ms; cores: recognition {others:.2f}, caller {callers:.2f}",
            flush=True,
        )
        if late[3] > LATE_MS:
            break


def usage(server: psutil.Process, caller: psutil.Process) -> tuple[float, float, float, float]:
    """CPU seconds so far: of the server's process, of its event loop's thread, of recognition, of the caller."""
    others = sum(cpu_s(process) for process in recognition(server))
    return cpu_s(server), loop_cpu_s(server), others, cpu_s(caller)


def recognition(server: psutil.Process) -> list[psutil.Process]:
    """The processes that hold models and decode."""
    return [process for process in server.children(recursive=True) if "redis" not in process.name()]


def place(server: psutil.Process) -> None:
    """The server and Redis on the first core, recognition on the others."""
    elsewhere = recognition(server)
    for process in (server, *server.children(recursive=True)):
        for thread in process.threads():
            os.sched_setaffinity(thread.id, OTHER_CORES if process in elsewhere else {0})


if __name__ == "__main__":
    main()
