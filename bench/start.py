"""From exec to `ready`, against merely importing the libraries; memory at rest and per extra live track."""

import statistics
import subprocess
import sys
import time

from bench import recordings
from bench.server import playing, served
from transcriber import sample_calls

MB = 1024 * 1024


def main() -> None:
    """Entry point."""
    parser = recordings.parser(__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    folder = recordings.model(args.model)
    recordings.heading(folder)
    command = ("transcriber", "serve", "--model", str(folder.path))
    ready, floor = [], []
    for _ in range(args.repeats):
        began = time.monotonic()
        with served(*command):
            ready.append(time.monotonic() - began)
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", "import aiohttp, vosk, numpy, redis.asyncio"], check=True)
        floor.append(time.monotonic() - began)
    for name, values in (("exec to ready", ready), ("imports alone", floor)):
        print(f"{name}: median {statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})")
    path = sample_calls.path("02_dental_appointment")
    with served(*command) as (url, process):
        [redis] = [child for child in process.children() if "redis" in child.name()]
        rest = process.memory_info().rss / MB
        print(f"at rest: {rest:.0f} MB, its Redis {redis.memory_info().rss / MB:.0f} MB")
        for calls in (4, 8, 16):
            player = playing(url, path, calls=calls, seconds=15, spread_s=0)
            time.sleep(13)
            grown = process.memory_info().rss / MB - rest
            print(f"{2 * calls} live tracks: +{grown:.0f} MB, {grown / 2 / calls:.2f} MB a track")
            player.wait(60)


if __name__ == "__main__":
    main()
