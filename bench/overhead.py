"""CPU of the whole server against bare Vosk on the same audio, all at the same time, so that noise falls on everybody.

--calls two-track calls in real time to each side: the server without its gate, with it, and Vosk alone as its own
examples use it (recycled recognizers, 100 ms in turn, a partial for each block), as it comes and on the server's
allocator and kernels; with --peer-model also the usual server (bench.peer) on that model, with --variables one more
server that is started with them (LD_PRELOAD=LIBRARY:LIBRARY tries others in place of ours). --rounds times; ratios are
of the sums.
"""

import argparse
import asyncio
import os
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from unittest.mock import patch

from bench import recordings
from transcriber.audio import sample_calls
from transcriber.audio.wav import read_recording
from transcriber.benchmark import bare_vosk, load, material
from transcriber.benchmark.system_under_test import SystemUnderTest
from transcriber.benchmark.transcriber_service import run_service
from transcriber.benchmark.vosk_server_peer import open_peer
from transcriber.catalog import ModelFolder
from transcriber.runtime import allocator, blas_kernels


def main() -> None:
    """Entry point."""
    parser = recordings.parser(__doc__)
    parser.add_argument("--calls", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=25.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="bare Vosk with recognizers made for their track")
    parser.add_argument("--audio", type=Path, nargs="+", help="instead of the sample calls")
    parser.add_argument("--peer-model", help="path of the model that bench.peer is to hear with")
    parser.add_argument("--variables", nargs="+", metavar="NAME=VALUE", help="of the environment of one more server")
    args = parser.parse_args()
    folder = recordings.model(args.model)
    recordings.heading(folder)
    spent: Counter[str] = Counter()
    for _ in range(args.rounds):
        spent.update(asyncio.run(measure(folder, args)))
    ground = spent["bare Vosk"]
    print(f"load of the machine {os.getloadavg()[0]:.1f}; {args.calls} calls a side, {args.rounds} rounds")
    for name, seconds in spent.items():
        per_s = 1000 * seconds / args.rounds
        print(f"{name:42} {per_s:7.2f} ms per s of a track, {seconds / ground:.2f} of bare Vosk", flush=True)


async def measure(folder: ModelFolder, args: argparse.Namespace) -> Mapping[str, float]:
    """CPU seconds per second of a track, by side."""
    calls = [material.from_recording(path) for path in args.audio] if args.audio else material.from_sample_calls()
    excerpts = [call.cut(args.seconds) for call in calls]
    chosen = material.staggered(excerpts, args.calls)
    tracks = [mulaw for call in chosen for mulaw in call.recording.tracks.values()]
    warm_on = None if args.fresh else read_recording(sample_calls.path(sample_calls.DEFAULT)).tracks["outbound"]

    async def alone() -> float:
        threads = os.cpu_count() or 1
        return await bare_vosk.in_subprocess(
            bare_vosk.measure_cost, str(folder.path), folder.band, tracks, warm_on=warm_on, threads=threads
        )

    async with AsyncExitStack() as stack:
        systems: dict[str, SystemUnderTest] = {
            "server, gate off": await stack.enter_async_context(run_service(folder, speech_gate=False)),
            "server, gate on": await stack.enter_async_context(run_service(folder)),
        }
        if args.variables:
            with patch.dict(os.environ, dict(variable.split("=", 1) for variable in args.variables)):
                systems["the same with the variables"] = await stack.enter_async_context(run_service(folder))
        if args.peer_model:
            command = f"{sys.executable} -m bench.peer {args.peer_model} {{port}}"
            systems["usual server"] = await stack.enter_async_context(open_peer(command, rate=16000, band=folder.band))
        playing = {name: asyncio.create_task(load.play(system, chosen)) for name, system in systems.items()}
        plain = asyncio.create_task(alone())
        await asyncio.sleep(0)  # it is spawned: what follows is not for it
        with patch.dict(os.environ, {allocator.PRELOAD_VARIABLE: allocator.mimalloc_path() or ""}):
            blas_kernels.configure_openblas()
            tuned = asyncio.create_task(alone())
            await asyncio.sleep(0)
        costs = {"bare Vosk": await plain, "bare Vosk, same allocator and kernels": await tuned}
        for name, task in playing.items():
            costs[name] = (await task).require_success().cost or 0.0
    return costs


if __name__ == "__main__":
    main()
