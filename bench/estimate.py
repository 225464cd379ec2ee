"""How good the estimate of its capacity is that a server makes at start: compared with the one after real calls.

--calls two-track sample calls at once to a server that goes by its own measurement (MAX_TRACKS=0). The more of it
they fill, the more it has learnt. How many calls can be carried says `transcriber bench capacity`.
"""

import time
import urllib.request

from bench import recordings
from bench.server import cpu_s, playing, served
from transcriber.audio import sample_calls

GAUGE = "transcriber_tracks_capacity "


def main() -> None:
    """Entry point."""
    parser = recordings.parser(__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=[4])
    parser.add_argument("--seconds", type=float, default=40.0)
    args = parser.parse_args()
    folder = recordings.model(args.model)
    recordings.heading(folder)
    path = sample_calls.path("06_hotel_booking")
    for calls in args.calls:
        with served("transcriber", "serve", "--model", str(folder.path), room=0) as (url, process):
            first, before_s, began_s = capacity_of(url), cpu_s(process), time.monotonic()
            refused = playing(url, path, calls=calls, seconds=args.seconds).wait()
            used_s, wall_s = cpu_s(process) - before_s, time.monotonic() - began_s
            print(
                f"{calls} calls: room for {first} tracks at start, {capacity_of(url)} after {wall_s:.0f} s; "
                f"{used_s / wall_s:.2f} cores used" + ", some calls refused" * bool(refused),
                flush=True,
            )


def capacity_of(url: str) -> int:
    """What the server says."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return int(float(next(line for line in lines if line.startswith(GAUGE)).split()[-1]))


def room_and_start() -> tuple[int, float]:
    """Of a server with the bundled model: the tracks it has room for at start, and the seconds until it is ready."""
    began_s = time.monotonic()
    with served("transcriber", "serve", "--model", "en-demo", room=0) as (url, _):
        ready_s = time.monotonic() - began_s
        return capacity_of(url), ready_s


if __name__ == "__main__":
    main()
