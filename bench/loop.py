"""Longest block of the event loop while 8 two-track calls start at once; against making recognizers on the loop."""

import asyncio
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


async def blocks(stop: asyncio.Event) -> list[float]:
    """How late, in ms, a sleep of 1 ms came back, each time."""
    late = []
    while not stop.is_set():
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        late.append((time.perf_counter() - began) * 1000 - 1)
    return sorted(late)


async def measure(folder_of_model: ModelFolder, calls: int) -> None:
    """Both sides, one after the other."""
    engine = VoskEngine(folder_of_model)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(port=0, data_dir=Path(folder), max_tracks=1000, drain_s=0, model=str(folder_of_model.path))
        async with running(settings, report=lambda line: None) as server:
            stop = asyncio.Event()
            watching = asyncio.create_task(blocks(stop))
            path = sample_calls.path("02_dental_appointment")
            player = playing(server.url, path, calls=calls, seconds=8, spread_s=0)
            await asyncio.to_thread(player.wait, 60)
            stop.set()
            late = await watching
            print(
                f"service, {calls} calls at once: longest {late[-1]:.1f} ms, p99.9 {late[int(len(late) * 0.999)]:.1f}"
            )
            stop.clear()
            watching = asyncio.create_task(blocks(stop))
            await asyncio.sleep(0.05)
            for _ in range(2 * calls):
                engine.create()
            await asyncio.sleep(0.05)
            stop.set()
            print(f"recognizers made on the loop: longest {(await watching)[-1]:.1f} ms")


def main() -> None:
    """Entry point."""
    parser = recordings.parser(__doc__)
    parser.add_argument("--calls", type=int, default=8)
    args = parser.parse_args()
    folder = recordings.model(args.model)
    recordings.heading(folder)
    asyncio.run(measure(folder, args.calls))


if __name__ == "__main__":
    main()
