"""CPU of a whole server on N two-track calls in real time, against bare Vosk on the same audio in the same run.

The server with and without its speech gate. Bare Vosk twice: paced (two threads, 100 ms of every track in turn, a
partial each, warm recognizers) and in one go. Then the scripted engine: what everything but recognition costs.
"""

import json
import threading
import time
from pathlib import Path

import vosk

from bench import recordings
from bench.server import cpu_s, playing, served
from transcriber import sample_calls
from transcriber.caller import read_recording
from transcriber.catalog import ModelFolder
from transcriber.core.audio import RATE, Upsampler

BLOCK = 3200


def through_server(path: Path, calls: int, seconds: float, *command: str) -> tuple[float, float]:
    """CPU seconds per second of a track: the server's and its Redis'."""
    with served(*command) as (url, process):
        [redis] = [child for child in process.children() if "redis" in child.name()]
        before = cpu_s(process), cpu_s(redis)
        if playing(url, path, calls=calls, seconds=seconds).wait(seconds + 60):
            raise SystemExit("the calls failed")
        time.sleep(1)
        total = 2 * calls * seconds
        return (cpu_s(process) - before[0]) / total, (cpu_s(redis) - before[1]) / total


class Bare:
    """The library alone on the same tracks."""

    def __init__(self, folder: ModelFolder, path: Path, *, calls: int, seconds: float) -> None:
        library = vosk.Model(str(folder.path))
        tracks = [mulaw[: int(seconds * RATE)] for mulaw in read_recording(path).tracks.values()]
        self._pcm = [Upsampler(folder.band).push(mulaw) for mulaw in tracks] * calls
        self._recognizers = [vosk.KaldiRecognizer(library, 16000) for _ in self._pcm]
        self._blocks = int(seconds * 10)
        self._total_s = len(self._pcm) * seconds
        other = Upsampler(folder.band).push(read_recording(sample_calls.path(sample_calls.DEFAULT)).tracks["outbound"])
        for recognizer in self._recognizers:  # that have served before, as in the pool, but not on this audio
            for start in range(0, 50 * BLOCK, BLOCK):
                recognizer.AcceptWaveform(other[start : start + BLOCK])
            recognizer.FinalResult()

    def _feed(self, track: int, block: int, *, partial: bool) -> None:
        recognizer = self._recognizers[track]
        if recognizer.AcceptWaveform(self._pcm[track][block * BLOCK : (block + 1) * BLOCK]):
            recognizer.Result()
        elif partial:
            json.loads(recognizer.PartialResult())

    def paced(self) -> float:
        """CPU seconds per second of a track, in real time on two threads."""
        before, began, count = time.process_time(), time.monotonic(), len(self._pcm)

        def pace(first: int) -> None:
            for block in range(self._blocks):
                for track in range(first, count, 2):
                    time.sleep(max(0.0, began + block / 10 + track / count / 10 - time.monotonic()))
                    self._feed(track, block, partial=True)

        threads = [threading.Thread(target=pace, args=(first,)) for first in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (time.process_time() - before) / self._total_s

    def once(self) -> float:
        """The same as fast as possible, without partials."""
        before = time.process_time()
        for track in range(len(self._pcm)):
            for block in range(self._blocks):
                self._feed(track, block, partial=False)
        return (time.process_time() - before) / self._total_s


def main() -> None:
    """Entry point."""
    parser = recordings.parser(__doc__)
    parser.add_argument("--calls", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    folder = recordings.model(args.model)
    recordings.heading(folder)
    vosk.SetLogLevel(-2)
    path = sample_calls.path("02_dental_appointment")
    real = recordings.SPEECH / "calls" / "Auto_Repairs_40_stereo_caller_agent.wav"
    if real.is_file():
        path = real
    print(f"{args.calls} two-track calls in real time, {args.seconds:g} s of {path.name}; CPU s per s of a track")
    for _ in range(args.repeats):
        serve = ("transcriber", "serve", "--model", str(folder.path))
        gated, redis = through_server(path, args.calls, args.seconds, *serve)
        fed, _ = through_server(path, args.calls, args.seconds, *serve, "--speech-gate", "0")
        library = Bare(folder, path, calls=args.calls, seconds=args.seconds)
        paced, once = library.paced(), library.once()
        rest, _ = through_server(path, args.calls, args.seconds, "bench.scripted_server")
        print(
            f"server {gated:.4f} (its Redis {redis:.4f}), without gate {fed:.4f}, bare paced {paced:.4f}, "
            f"bare in one go {once:.4f}, scripted {rest:.4f}: server / bare paced {gated / paced:.2f}, "
            f"without gate / bare paced {fed / paced:.2f}, server / bare in one go {gated / once:.2f}"
        )


if __name__ == "__main__":
    main()
