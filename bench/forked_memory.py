"""Memory and CPU of one model in forked workers, idle and decoding, beside one process that decodes alone.

Each row is a process of its own that loads the model, warms recognizers and forks. PSS, of which a page shared by n
processes counts for a nth in each, is summed over all of them. `--variables NAME=VALUE`: as well in the environment, as
MIMALLOC_ALLOW_THP=0 (no huge pages) or an empty LD_PRELOAD (the C library's allocator). Each worker decodes --tracks
tracks at once, twice.
"""

import argparse
import gc
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench import recordings
from transcriber.audio.chunk import SAMPLE_RATE_HZ, AudioChunk
from transcriber.catalog import ModelFolder
from transcriber.recognition.options import RecognitionOptions
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.recognition.track_decoder import TrackDecoder
from transcriber.recognition.vosk_engine import VoskEngine
from transcriber.recognition.warm_up_speech import warm_speech
from transcriber.runtime import allocator

PIECE = SAMPLE_RATE_HZ // 5
KEYS = ("Pss", "Private_Clean", "Private_Dirty", "AnonHugePages")
Memory = dict[str, float]
"""MB by name of KEYS."""


def main() -> None:
    """Entry point."""
    parser = recordings.parser(__doc__)
    parser.add_argument("--dynamic", action="store_true", help="not the static graph")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--tracks", type=int, default=2, help="at once in each worker")
    parser.add_argument("--seconds", type=int, default=10, help="of each track")
    parser.add_argument("--cold", action="store_true", help="recognizers are made in the workers")
    parser.add_argument("--not-frozen", action="store_true", help="the garbage collector sees what was forked")
    parser.add_argument("--variables", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--fork", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    folder = recordings.model(args.model)
    if args.fork is not None:
        hold(folder, args)
        return
    recordings.heading(folder)
    print("workers; fork ms; MB: all idle, busy; a worker's own idle, busy, in huge pages; CPU ms per s, first, then")
    variables = allocator.environment() | dict(variable.split("=", 1) for variable in args.variables)
    for workers in (0, *args.workers):
        command = [sys.executable, "-m", "bench.forked_memory", *sys.argv[1:], "--fork", str(workers)]
        subprocess.run(command, env=os.environ | variables, check=True)


def hold(folder: ModelFolder, args: argparse.Namespace) -> None:
    """Load, fork, let them decode, and print a row; without workers this process decodes itself."""
    pool = RecognizerPool(VoskEngine(folder, dynamic=args.dynamic), keep=args.tracks)
    if not args.cold:
        pool.warm(args.tracks, warm_speech())
    audio = tracks(folder, args)
    if not args.not_frozen:
        gc.collect()
        gc.freeze()
    alone = memory(os.getpid())
    if not args.fork:
        costs = [decode(pool, audio) for _ in range(2)]
        row(0, 0.0, [alone], [memory(os.getpid())], costs)
        return
    workers, fork_ms = [], []
    for _ in range(args.fork):
        ours, theirs = socket.socketpair()
        began = time.perf_counter()
        if (pid := os.fork()) == 0:
            ours.close()
            work(theirs, pool, audio)
        fork_ms.append((time.perf_counter() - began) * 1000)
        theirs.close()
        workers.append((pid, ours))
    pids = [os.getpid(), *(pid for pid, _ in workers)]
    ask(workers, "collect")
    idle = [memory(pid) for pid in pids]
    costs = [statistics.mean(ask(workers, "decode")) for _ in range(2)]
    busy = [memory(pid) for pid in pids]
    for _, connection in workers:  # all of them first: a worker holds the sockets of those before it, too
        connection.close()
    for pid, _ in workers:
        os.waitpid(pid, 0)
    row(args.fork, statistics.median(fork_ms), idle, busy, costs)


def ask(workers: Sequence[tuple[int, socket.socket]], what: str) -> list[float]:
    """Let all do it at once."""
    for _, connection in workers:
        connection.sendall(what.encode())
    return [json.loads(connection.recv(64)) for _, connection in workers]


def work(connection: socket.socket, pool: RecognizerPool, audio: Sequence[bytes]) -> None:
    """In a worker: until the connection is closed."""
    while what := connection.recv(64):
        cost = decode(pool, audio) if what == b"decode" else float(gc.collect())
        connection.sendall(json.dumps(cost).encode())
    os._exit(0)


def decode(pool: RecognizerPool, audio: Sequence[bytes]) -> float:
    """All tracks at once, as live ones come; CPU ms per second of a track."""
    before = time.process_time()
    decoders = [TrackDecoder(pool, RecognitionOptions()) for _ in audio]
    length = len(audio[0])
    for at in range(0, length, PIECE):
        for decoder, mulaw in zip(decoders, audio, strict=True):
            decoder.feed([AudioChunk("", mulaw[at : at + PIECE], at)], last=at + PIECE >= length)
    return (time.process_time() - before) * 1000 / (len(audio) * length / SAMPLE_RATE_HZ)


def tracks(folder: ModelFolder, args: argparse.Namespace) -> list[bytes]:
    """As many as a worker decodes at once, each of the same length: Korean for a wide model where it is."""
    spoken = [mulaw for mulaw, _ in recordings.korean().values()] if folder.band == "wide" else []
    found, length = spoken or list(recordings.samples().values()), args.seconds * SAMPLE_RATE_HZ
    whole = b"".join(found) * (1 + args.tracks * length // sum(map(len, found)))
    return [whole[number * length : (number + 1) * length] for number in range(args.tracks)]


def memory(pid: int) -> Memory:
    """Of a process."""
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    found = {name.rstrip(":"): int(kb) / 1000 for name, kb, _ in lines}
    return {key: found[key] for key in KEYS}


def row(workers: int, fork_ms: float, idle: Sequence[Memory], busy: Sequence[Memory], costs: Sequence[float]) -> None:
    """Print the figures of a process and its workers; it comes first in `idle` and `busy`."""
    sums = [sum(process["Pss"] for process in state) for state in (idle, busy)]
    own = [
        statistics.mean(process["Private_Clean"] + process["Private_Dirty"] for process in state[1:] or state)
        for state in (idle, busy)
    ]
    huge = statistics.mean(process["AnonHugePages"] for process in busy[1:] or busy)
    name = str(workers) if workers else "alone"
    print(
        f"{name:>7}; {fork_ms:5.1f}; {sums[0]:7.0f} {sums[1]:7.0f}; {own[0]:7.1f} {own[1]:7.1f} {huge:6.0f}; "
        f"{costs[0]:6.2f} {costs[1]:6.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
