"""Recognition workers that die one after the other under live calls, for `bench.worker_deaths --deaths`.

What the server and its model process hold is read on the way: it must not grow.
"""

import asyncio
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.process_tree import Footprint, at_rest, footprint, model_process, replaced, tree_of, workers
from bench.published_calls import recordings
from bench.stage import Plan, Stage
from transcriber.store.feed import RedisFeed
from transcriber.store.redis_store import RedisStore
from transcriber.telephony.simulator import CallIds, Target, dial

READINGS = 20
LONGEST_S = 2.0
"""What one death takes at most, on average; the calls are so long."""
ANSWER_WITHIN_S = 20
MOST_WAITING = 1_000_000
HEADING = f"{'deaths':>6} {'server MB':>10} {'files':>6} {'model MB':>10} {'files':>6} {'processes':>10} {'zombies':>8}"


@dataclass(slots=True)
class Deaths:
    """What was seen: seconds from a death to another worker, to the next event of a call and until all is
    heard again, and what was held. `errors`: stream.error events."""

    replaced_s: list[float] = field(default_factory=list)
    heard_s: list[float] = field(default_factory=list)
    caught_up_s: list[float] = field(default_factory=list)
    errors: int = 0
    readings: list[tuple[int, Footprint, Footprint, Footprint]] = field(default_factory=list)
    """After so many deaths: the server, its model process, all processes."""

    def read(self, server: int) -> None:
        """Look at the processes now."""
        found = footprint(server), footprint(model_process(server)), tree_of(server)
        self.readings.append((len(self.replaced_s), *found))
        own, model_own, tree = found
        print(
            f"{len(self.replaced_s):6} {own.rss_mb:10.1f} {own.files:6} {model_own.rss_mb:10.1f} {model_own.files:6} "
            f"{tree.processes:10} {tree.zombies:8}",
            flush=True,
        )


async def measure(deaths: int, *, calls: int) -> bool:
    """So many, the next when an event followed the last and the worker rests; whether nothing is left of them."""
    seen = Deaths()
    with tempfile.TemporaryDirectory(prefix="deaths-") as directory:
        stage = Stage(Plan(), Path(directory), None, recordings(1, 1)[0])
        async with stage.server("data", "--workers", "1") as (server, url), stage.store() as store:
            news, over = asyncio.Event(), asyncio.Event()
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(_listen(store, news, seen))
                for recording in recordings(calls, deaths * LONGEST_S):
                    group.create_task(dial(Target(url=url), recording, ids=CallIds(), hang_up=over))
                await _next(news)
                print(HEADING)
                for number in range(deaths):
                    if number % max(1, deaths // READINGS) == 0:
                        seen.read(server.pid)
                    await _die(server.pid, news, seen)
                seen.read(server.pid)
                over.set()
                listening.cancel()
    print(_quantiles("another worker after", seen.replaced_s))
    print(_quantiles("the next event after", seen.heard_s))
    print(_quantiles("all heard again after", seen.caught_up_s))
    print(f"{seen.errors} stream.error events")
    first, last = seen.readings[1:-1][0], seen.readings[-1]
    return not seen.errors and all(
        (one.files, one.processes, one.zombies) == (other.files, other.processes, other.zombies)
        for one, other in zip(first[1:], last[1:], strict=True)
    )


async def _die(server: int, news: asyncio.Event, seen: Deaths) -> None:
    before = workers(server)
    os.kill(before[0], signal.SIGKILL)
    died_s = time.monotonic()
    seen.replaced_s.append(await replaced(server, before))
    await _next(news)
    seen.heard_s.append(time.monotonic() - died_s)
    await at_rest(server)  # else tracks are never heard as far as their next checkpoint, and what is kept grows
    seen.caught_up_s.append(time.monotonic() - died_s)


async def _next(news: asyncio.Event) -> None:
    news.clear()
    async with asyncio.timeout(ANSWER_WITHIN_S):
        await news.wait()


async def _listen(store: RedisStore, news: asyncio.Event, seen: Deaths) -> None:
    """Tell of each partial and final."""
    feed = RedisFeed(store.client, store.keys, max_waiting=MOST_WAITING)
    try:
        async with feed.follow() as messages:
            async for message in messages:
                if message.channel in ("partial", "final"):
                    news.set()
                seen.errors += '"type":"stream.error"' in message.json
    finally:
        await feed.aclose()


def _quantiles(words: str, seconds: Sequence[float]) -> str:
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return f"{words}: p50 {cuts[9]:.3f}, p95 {cuts[18]:.3f}, max {max(seconds):.3f} s"
