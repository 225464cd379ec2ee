"""What the sandbox of workers costs: forked children inside it and outside, in turns, so that noise falls on both.

CPU of decoding the sample calls with the bundled model, of system calls that do nothing (one that the filter always
allows, one whose argument it looks at), the time to enter, and beside it what a network namespace would take.
`LD_PRELOAD` with mimalloc as servers have it.
"""

import argparse
import ctypes
import gc
import mmap
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from transcriber.audio import sample_calls
from transcriber.audio.chunk import SAMPLE_RATE_HZ, AudioChunk
from transcriber.audio.wav import read_recording
from transcriber.catalog import find
from transcriber.recognition.options import RecognitionOptions
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.recognition.track_decoder import TrackDecoder
from transcriber.recognition.vosk_engine import VoskEngine
from transcriber.recognition.warm_up_speech import warm_speech
from transcriber.runtime import sandbox

CALLS = 300_000
GROWTH_BYTES = 2 << 30
NETWORK, USER = 0x40000000, 0x10000000
parent_pid = os.getpid()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    rounds = parser.parse_args().rounds
    pool = RecognizerPool(VoskEngine(find("en-demo", Path("nothing-is-here"))), keep=4)
    pool.warm(2, warm_speech())
    files = [sample_calls.path(name) for name in sample_calls.names()]
    tracks = [track for file in files for track in read_recording(file).tracks.values()]
    page = mmap.mmap(-1, mmap.PAGESIZE)
    gc.freeze()
    _compare("decoding the sample calls", rounds, lambda: [_decode(pool, track) for track in tracks])
    _compare(f"{CALLS:,} times lseek", rounds, lambda: _repeat(lambda: os.lseek(2, 0, os.SEEK_CUR)))
    _compare(f"{CALLS:,} times madvise", rounds, lambda: _repeat(lambda: page.madvise(mmap.MADV_DONTNEED)))
    for name, flags in (("network", NETWORK), ("user and network", NETWORK | USER)):
        took = [_in_a_child(lambda: None, lambda flags=flags: _unshare(flags))[0] * 1e3 for _ in range(rounds)]
        print(f"a {name} namespace: median {statistics.median(took):.1f} ms, at most {max(took):.1f} ms")


def _compare(what: str, rounds: int, work: Callable[[], object]) -> None:
    inside, outside = [], []
    for number in range(rounds):
        sides = [(inside, _enter), (outside, lambda: None)]
        for results, prepare in sides[:: 1 - 2 * (number % 2)]:
            results.append(_in_a_child(work, prepare))
    ratios = sorted(within[1] / without[1] for within, without in zip(inside, outside, strict=True))
    entered = sorted(took * 1e3 for took, _ in inside)
    alone = statistics.median(cpu for _, cpu in outside)
    print(
        f"{what}: inside / outside {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}), "
        f"{alone:.3f} s outside; entered in {statistics.median(entered):.1f} ms, at most {entered[-1]:.1f} ms",
        flush=True,
    )


def _in_a_child(work: Callable[[], object], prepare: Callable[[], object]) -> tuple[float, float]:
    """Seconds that `prepare` took, and CPU seconds of the work after it."""
    answer_from, answer_to = os.pipe()
    if (pid := os.fork()) == 0:
        os.dup2(answer_to, 1)
        begun = time.perf_counter()
        prepare()
        took, before = time.perf_counter() - begun, time.process_time()
        work()
        os.write(1, f"{took} {time.process_time() - before}".encode())
        os._exit(0)
    os.close(answer_to)
    with os.fdopen(answer_from) as answer:
        took_text, cpu_text = answer.read().split()
    os.waitpid(pid, 0)
    return float(took_text), float(cpu_text)


def _enter() -> None:
    sandbox.enter(parent_pid=parent_pid, keep=(), growth_bytes=GROWTH_BYTES, name="bench")


def _unshare(flags: int) -> None:
    if ctypes.CDLL(None).unshare(flags) < 0:
        raise SystemExit("this user, or this container, may make no namespace")


def _repeat(call: Callable[[], object]) -> None:
    for _ in range(CALLS):
        call()


def _decode(pool: RecognizerPool, mulaw: bytes) -> None:
    decoder = TrackDecoder(pool, RecognitionOptions())
    for start in range(0, len(mulaw), SAMPLE_RATE_HZ):
        decoder.feed([AudioChunk("", mulaw[start : start + SAMPLE_RATE_HZ], start)], last=False)
    decoder.feed([], last=True)


if __name__ == "__main__":
    main()
