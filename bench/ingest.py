"""Ingest alone: two-track calls in real time on a server with the scripted engine, bound to one core.

Steps up until the 99th percentile of a second's frames is heard 100 ms late. Callers run on the other cores.
"""

import os
import tempfile
import time
from pathlib import Path

from bench import recordings
from bench.server import cpu_s, playing, served
from transcriber.audio import sample_calls

SECONDS = 12
LATE_MS = 100


def main() -> None:
    """Entry point."""
    parser = recordings.parser(__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=[20, 40, 60, 80, 100, 120])
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
                time.sleep(5)
                before, began, late = cpu_s(process), time.monotonic(), []
                for _ in range(6):
                    time.sleep(1)
                    late.append(float(late_file.read_text() or 0))
                core = (cpu_s(process) - before) / (time.monotonic() - began)
                player.wait(120)
        late.sort()
        print(
            f"{2 * calls:4} tracks: p99 of a second's frames late by {late[3]:.0f} ms (worst second {late[-1]:.0f}), "
            f"{core:.2f} of a core, {1000 * core / (2 * calls):.1f} ms per s of a track",
            flush=True,
        )
        if late[3] > LATE_MS:
            break


if __name__ == "__main__":
    main()
