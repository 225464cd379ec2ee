"""What the deaths of recognition workers cost live calls: `python -m bench.worker_deaths`.

The same two-track calls in real time: twice in peace, which shows how much two plays differ by themselves, then with
a worker ended every 5 s in each way. Everything is seen from outside: history, what is published, the processes.
Loopback only; only processes started here are ended.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import many_deaths
from bench.process_tree import Footprint, replaced, tree_of, workers
from bench.published_calls import PublishedCall, play, recordings
from bench.published_differences import caught_up_s, compare, spread
from bench.stage import Plan, Stage
from transcriber.telephony.simulator import CallIds

WAYS = {"SIGKILL": signal.SIGKILL, "SIGABRT": signal.SIGABRT, "SIGSTOP": signal.SIGSTOP}
MANY_DEATHS_CALLS = 4
LEAD_S, TAIL_S = 6.0, 5.0
"""Calls go on before the first death, and after the last."""


@dataclass(slots=True)
class Trouble:
    """What is done to the workers of a server, and what was seen. `number`: None does nothing."""

    number: signal.Signals | None
    every_s: float
    times: int
    deaths: list[float] = field(default_factory=list)
    """Moments on the monotonic clock."""
    replaced_s: list[float] = field(default_factory=list)
    """From there until there was another worker."""

    async def run(self, server: int) -> None:
        """All of it. In peace only the moments are noted: what is late then is late by itself."""
        began_s = time.monotonic()
        for turn in range(self.times):
            await asyncio.sleep(max(0.0, began_s + LEAD_S + turn * self.every_s - time.monotonic()))
            self.deaths.append(time.monotonic())
            if self.number is not None:
                before = workers(server)
                os.kill(before[turn % len(before)], self.number)
                self.replaced_s.append(await replaced(server, before))


@dataclass(frozen=True, slots=True)
class Played:
    """One play: the calls, and what the server held at rest before and after them."""

    calls: Sequence[PublishedCall]
    before: Footprint
    after: Footprint


async def played(args: argparse.Namespace, trouble: Trouble, flags: Sequence[str] = ()) -> Played:
    """All calls on a server of its own."""
    with tempfile.TemporaryDirectory(prefix="deaths-") as directory:
        stage = Stage(Plan(), Path(directory), None, recordings(1, 1)[0])
        calls = [PublishedCall(recording, CallIds()) for recording in recordings(args.calls, _seconds(args))]
        flags = ("--workers", str(args.workers), *flags)
        async with stage.server("data", *flags) as (server, url), stage.store() as store:
            before = tree_of(server.pid)
            async with asyncio.TaskGroup() as group:
                group.create_task(play(url, store, calls))
                group.create_task(trouble.run(server.pid))
            return Played(calls, before, tree_of(server.pid))


async def measure(args: argparse.Namespace) -> bool:
    """Every way against the first play in peace; whether nothing was lost, repeated or changed."""
    flags = ("--speech-gate", "0") if args.no_gate else ()
    peace = await played(args, Trouble(None, args.every, args.times), flags)
    flawless = True
    for name in ("peace", *args.ways):
        number = WAYS.get(name)
        trouble = Trouble(number, args.every, args.times)
        again = await played(args, trouble, flags)
        differences = compare(peace.calls, again.calls, trouble.deaths)
        flawless = flawless and differences.flawless
        late_s = caught_up_s(peace.calls, again.calls, trouble.deaths)
        print(f"{name:8} {differences.line()}; the last event that came late, after {spread(late_s)}")
        if trouble.replaced_s:
            print(f"{'':8} {len(trouble.deaths)} deaths: another worker after {spread(trouble.replaced_s)}")
        sent_late_s, load = max(call.late_s for call in again.calls), os.getloadavg()[0]
        print(f"{'':8} the caller sent frames {sent_late_s:.2f} s late at most; load of the machine {load:.1f}")
        print(f"{'':8} at rest before: {again.before.line()}")
        print(f"{'':8} and after: {again.after.line()}", flush=True)
    return flawless


def _seconds(args: argparse.Namespace) -> float:
    return float(LEAD_S + args.times * args.every + TAIL_S)


async def main() -> int:
    """Entry point; 1 when something was lost, repeated or changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", metavar="WAY", help=f"of {', '.join(WAYS)}; default: all", default=[*WAYS])
    parser.add_argument("--calls", type=int, default=10, help="two-track calls at once")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two deaths")
    parser.add_argument("--times", type=int, default=12, help="deaths in a row")
    parser.add_argument("--workers", type=int, default=0, help="0: one per core")
    parser.add_argument("--no-gate", action="store_true", help="without voice activity detection")
    parser.add_argument("--deaths", type=int, default=0, help="so many in a row instead, and what is left of them")
    args = parser.parse_args()
    if unknown := set(args.ways) - WAYS.keys():
        parser.error(f"no way {', '.join(sorted(unknown))}: there are {', '.join(WAYS)}")
    if args.deaths:
        return 0 if await many_deaths.measure(args.deaths, calls=min(args.calls, MANY_DEATHS_CALLS)) else 1
    print(f"{args.calls} calls of {_seconds(args):g} s, a worker ended every {args.every:g} s", flush=True)
    return 0 if await measure(args) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
