"""Memory of a server's processes with 1, 2, 4, 8 workers, at rest and with calls: `python -m bench.worker_memory`.

PSS: a page that several processes share counts in parts, so that the sum over all processes is what the machine gives.
Private: what is a process's own. The server's Redis is left out. Loopback only; only processes started here are ended.
"""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress

from bench import recordings
from bench.process_tree import Footprint, footprint, model_process, tree_of, workers
from bench.server import playing, served
from bench.stage import until
from transcriber.audio import sample_calls
from transcriber.catalog import ModelFolder

SAMPLE = "02_dental_appointment"
CALL_S = 25.0
LOOK_EVERY_S = 1.0
Row = tuple[Footprint, Footprint, list[Footprint]]
"""All processes, the model process, each worker."""


async def measure(folder: ModelFolder, counts: Sequence[int], calls: int) -> None:
    """A server for each number of workers."""
    print(f"{'workers':>7} {'':5} {'PSS of all':>10} {'of model process':>17} {'private per worker':>19}")
    first: dict[str, float] = {}
    for count in counts:
        command = ("transcriber", "serve", "--model", str(folder.path), "--workers", str(count))
        with served(*command) as (url, server):
            await until(lambda: _has(server.pid, count))  # noqa: B023 - used at once
            _print(count, "rest", _row(server.pid), first)
            player = playing(url, sample_calls.path(SAMPLE), calls=calls, seconds=CALL_S, spread_s=2)
            most: Row | None = None
            while player.poll() is None:
                await asyncio.sleep(LOOK_EVERY_S)
                with suppress(LookupError):
                    row = _row(server.pid)
                    most = row if most is None or row[0].pss_mb > most[0].pss_mb else most
            if player.returncode or most is None:
                raise RuntimeError(f"{calls} calls were too many")
            _print(count, "busy", most, first)
            _print(count, "after", _row(server.pid), first)


def _row(server: int) -> Row:
    return tree_of(server), footprint(model_process(server)), [footprint(pid) for pid in workers(server)]


def _print(count: int, when: str, row: Row, first: dict[str, float]) -> None:
    everything, model, each = row
    one = first.setdefault(when, everything.pss_mb)
    private = sorted(worker.private_mb for worker in each)
    print(
        f"{count:>7} {when:5} {everything.pss_mb:7.1f} MB {model.pss_mb:14.1f} MB "
        f"{private[0]:9.1f} to {private[-1]:.1f} MB; {everything.pss_mb / one:.2f} of the first",
        flush=True,
    )


async def _has(server: int, count: int) -> bool:
    return len(workers(server)) == count


def main() -> int:
    """Entry point."""
    parser = recordings.parser(__doc__)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--calls", type=int, default=8, help="two-track calls at once")
    args = parser.parse_args()
    folder = recordings.model(args.model)
    recordings.heading(folder)
    asyncio.run(measure(folder, args.workers, args.calls))
    return 0


if __name__ == "__main__":
    sys.exit(main())
