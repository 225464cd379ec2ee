"""Ingest alone: two-track calls in real time on a server with the scripted engine, bound to one core.

Steps up until the 99th percentile of a second's frames is heard 100 ms late. The caller (`bench.caller`) runs on the
other cores and says itself how much of them it takes: near one core it would be the limit, not the server.
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
                for task in (process, *process.children()):
                    os.sched_setaffinity(task.pid, {0})
                for thread in process.threads():
                    os.sched_setaffinity(thread.id, {0})
                player = playing(url, path, calls=calls, seconds=SECONDS, spread_s=3)
                os.sched_setaffinity(player.pid, set(range(1, os.cpu_count() or 2)) or {0})
                caller = psutil.Process(player.pid)
                time.sleep(5)
                before, began, late = usage(process, caller), time.monotonic(), []
                for _ in range(6):
                    time.sleep(1)
                    late.append(float(late_file.read_text() or 0))
                wall_s = time.monotonic() - began
                core, loop, callers = (
                    (now - then) / wall_s for now, then in zip(usage(process, caller), before, strict=True)
                )
                player.wait(120)
        late.sort()
        print(
            f"{2 * calls:4} tracks: p99 of a second's frames late by {late[3]:.0f} ms (worst second {late[-1]:.0f}), "
            f"{core:.2f} of a core, {1000 * core / (2 * calls):.1f} ms per s of a track; "
            f"the event loop {1000 * loop / (2 * calls):.2f} ms; the caller {callers:.2f} of a core",
            flush=True,
        )
        if late[3] > LATE_MS:
            break


def usage(server: psutil.Process, caller: psutil.Process) -> tuple[float, float, float]:
    """CPU seconds so far: of the server, of its event loop's thread, of the caller."""
    return cpu_s(server), loop_cpu_s(server), cpu_s(caller)


if __name__ == "__main__":
    main()
