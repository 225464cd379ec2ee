"""Longest block of the event loop: 8 two-track calls that start at once, a full load, recognizers made on the loop.

A block is how late a sleep of 1 ms comes back: on the clock, which counts what else runs on the machine, and in CPU of
the loop's thread alone. As in `transcriber serve`, what the start has made is out of the garbage collector's sight.
"""

import asyncio
import gc
import tempfile
import time
from pathlib import Path

from bench import recordings
from bench.server import playing
from transcriber.audio import sample_calls
from transcriber.catalog import ModelFolder
from transcriber.recognition.vosk_engine import VoskEngine
from transcriber.server.server import running
from transcriber.settings.definition import Settings


class Watch:
    """How long the loop is held while the block runs, on the clock and in CPU, in ms."""

    async def __aenter__(self) -> "Watch":
        self._late: list[float] = []
        self._cpu: list[float] = []
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        self._late.sort()

    async def _run(self) -> None:
        while True:
            began, cpu_began = time.perf_counter(), time.thread_time()
            await asyncio.sleep(0.001)
            self._late.append((time.perf_counter() - began) * 1000 - 1)
            self._cpu.append((time.thread_time() - cpu_began) * 1000)

    def __str__(self) -> str:
        p999 = self._late[int(len(self._late) * 0.999)]
        return f"longest {self._late[-1]:.1f} ms, p99.9 {p999:.1f}; in CPU {max(self._cpu):.1f} ms"


async def measure(folder_of_model: ModelFolder, calls: int, load: int) -> None:
    """All three, one after the other."""
    engine = VoskEngine(folder_of_model)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(port=0, data_dir=Path(folder), max_tracks=1000, drain_s=0, model=str(folder_of_model.path))
        async with running(settings, report=lambda line: None) as server:
            gc.collect()
            gc.freeze()
            path = sample_calls.path("02_dental_appointment")
            for what, count, spread_s in ((f"{calls} calls at once", calls, 0), (f"{load} calls", load, 3)):
                async with Watch() as watch:
                    player = playing(server.url, path, calls=count, seconds=8, spread_s=spread_s)
                    await asyncio.to_thread(player.wait, 60)
                print(f"service, {what}: {watch}", flush=True)
            async with Watch() as watch:
                await asyncio.sleep(0.05)
                for _ in range(2 * calls):
                    engine.create()
                await asyncio.sleep(0.05)
            print(f"recognizers made on the loop: {watch}")


def main() -> None:
    """Entry point."""
    parser = recordings.parser(__doc__)
    parser.add_argument("--calls", type=int, default=8)
    parser.add_argument("--load", type=int, default=50)
    args = parser.parse_args()
    folder = recordings.model(args.model)
    recordings.heading(folder)
    asyncio.run(measure(folder, args.calls, args.load))


if __name__ == "__main__":
    main()
