"""Real trouble under live calls: `python -m bench.chaos [SCENARIO…]` says what it cost.

Each scenario is a function of a `Stage`: it breaks something real, mends it, and compares history with the same call
without trouble. Loopback only; only processes started here are ended.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from bench.draining import sigterm, sigterm_twice
from bench.killed_workers import (
    model_process_killed,
    model_process_stopped,
    worker_aborted,
    worker_killed,
    worker_killed_at_the_end,
    worker_killed_in_recovery,
    worker_killed_twice,
    worker_stopped,
)
from bench.overload import overload
from bench.own_redis import own_redis
from bench.stage import UNSAVED_S, Finals, Plan, Stage, Verdict, compare, finals, kill, reference, until
from transcriber.errors import StoreError
from transcriber.events import schema
from transcriber.outbox.stream_writes import EventAppended, read
from transcriber.store.redis_store import RedisStore

Scenario = Callable[[Stage, Finals], Awaitable[Verdict]]


async def redis_killed(stage: Stage, wanted: Finals) -> Verdict:
    """Redis is killed with -9 and comes back with its data."""

    async def trouble(_: RedisStore) -> None:
        assert stage.redis is not None
        await stage.redis.kill()
        await asyncio.sleep(stage.plan.outage_s)
        await stage.redis.start()

    return await _outage(stage, wanted, trouble)


async def redis_stalled(stage: Stage, wanted: Finals) -> Verdict:
    """Redis is stopped with SIGSTOP: connections stay open, nothing answers."""

    async def trouble(_: RedisStore) -> None:
        assert stage.redis is not None
        stage.redis.stall()
        await asyncio.sleep(stage.plan.outage_s)
        stage.redis.wake()

    return await _outage(stage, wanted, trouble)


async def private_redis_killed(stage: Stage, wanted: Finals) -> Verdict:
    """The server's own Redis is killed with -9, three times; the server starts it again."""

    async def trouble(store: RedisStore) -> None:
        for _ in range(3):
            await until(lambda: _answers(store))
            os.kill(int((await store.client.info("server"))["process_id"]), signal.SIGKILL)
            await asyncio.sleep(stage.plan.outage_s / 3)
        await until(lambda: _answers(store))

    return await _outage(stage, wanted, trouble)


async def server_killed(stage: Stage, _: Finals) -> Verdict:
    """The server is killed with -9 in the middle of calls and started again. Delay: until its calls are interrupted."""
    async with stage.store() as store:
        async with stage.server() as (server, url), stage.playing(url) as calls:
            await stage.spoken(store)
            began_s = kill(server)
            await calls
        before = [finals(events) for events in await stage.history(store)]
        async with stage.server():
            await stage.ended(store)
            return compare(before, await stage.history(store), time.monotonic() - began_s)


async def server_killed_for_good(stage: Stage, _: Finals) -> Verdict:
    """The same, and it does not come back: another server on the same Redis interrupts its calls."""
    async with stage.store() as store, stage.server("survivor"):
        async with stage.server() as (server, url), stage.playing(url) as calls:
            await stage.spoken(store)
            began_s = kill(server)
            await calls
        before = [finals(events) for events in await stage.history(store)]
        await stage.ended(store)
        return compare(before, await stage.history(store), time.monotonic() - began_s)


async def server_killed_with_journal(stage: Stage, wanted: Finals) -> Verdict:
    """The server keeps a journal and is killed with -9; its next start finishes the transcripts of what it received."""
    async with stage.store() as store:
        async with stage.server("data", "--journal", "1") as (server, url), stage.playing(url) as calls:
            await stage.spoken(store)
            await asyncio.sleep(stage.plan.outage_s)
            began_s = kill(server)
            await calls
        expected = [
            [final for final in wanted if final[3] < stage.played_ms[ids.call] - UNSAVED_S * 1000 * stage.plan.speed]
            for ids in stage.ids
        ]
        async with stage.server():
            await stage.ended(store)
            return compare(expected, await stage.history(store), time.monotonic() - began_s)


async def both_killed(stage: Stage, _: Finals) -> Verdict:
    """Redis is killed, and while it is away the server too; then both come back."""
    assert stage.redis is not None
    async with stage.store() as store:
        async with stage.server() as (server, url), stage.playing(url) as calls:
            await stage.spoken(store)
            before = [finals(events) for events in await stage.history(store)]
            await stage.redis.kill()
            await asyncio.sleep(stage.plan.outage_s)
            kill(server)
            await calls
        expected = [there + _left(stage, ids.call, there) for ids, there in zip(stage.ids, before, strict=True)]
        await stage.redis.start()
        mended_s = time.monotonic()
        async with stage.server():
            await stage.ended(store)
            return compare(expected, await stage.history(store), time.monotonic() - mended_s)


SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        redis_killed,
        redis_stalled,
        private_redis_killed,
        server_killed,
        server_killed_with_journal,
        server_killed_for_good,
        both_killed,
        sigterm,
        sigterm_twice,
        overload,
        worker_killed,
        worker_aborted,
        worker_stopped,
        worker_killed_twice,
        worker_killed_at_the_end,
        worker_killed_in_recovery,
        model_process_killed,
        model_process_stopped,
    )
}
PRIVATE = {"private_redis_killed"}


async def _outage(stage: Stage, wanted: Finals, trouble: Callable[[RedisStore], Awaitable[None]]) -> Verdict:
    """Calls that go on through the trouble. The delay: from its end until nothing waits in the outbox."""
    async with stage.server() as (_, url), stage.store() as store, stage.playing(url) as calls:
        await stage.spoken(store)
        await trouble(store)
        mended_s = time.monotonic()
        await until(lambda: _delivered(url))
        delay_s = time.monotonic() - mended_s
        problems = [problem for problem in await calls if problem is not None]
        if problems:
            raise problems[0]
        await stage.ended(store)
        return compare([wanted] * stage.plan.calls, await stage.history(store), delay_s)


async def _delivered(url: str) -> bool:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
        return "\ntranscriber_outbox_events 0.0\n" in await answer.text()


async def _answers(store: RedisStore) -> bool:
    try:
        await store.ping()
    except StoreError:
        return False
    return True


def _left(stage: Stage, call_sid: str, there: Finals) -> Finals:
    """The finals of a call that the dead server left in its outbox, less those that are in history already."""
    found: Finals = []
    for path in (stage.directory / "data" / "outbox").glob("*/*.jsonl"):
        for text in path.read_bytes().splitlines(keepends=True):
            record = read(text)
            if (
                isinstance(record, EventAppended)
                and isinstance(record.event, schema.Final)
                and record.event.call_sid == call_sid
            ):
                event = record.event
                found.append((event.track, event.utterance, event.text, event.end_ms))
    return [one for one in found if one not in there]


async def play(name: str, plan: Plan, wanted: Finals) -> Verdict:
    """One scenario by its name, in a directory of its own."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        redis = None if name in PRIVATE else await stack.enter_async_context(own_redis())
        return await SCENARIOS[name](Stage(plan, directory, redis, plan.recording()), wanted)


async def unharmed(plan: Plan) -> Finals:
    """What a call of the plan says without trouble."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
        return await reference(plan, Path(directory))


async def main() -> int:
    """Play what was asked for; 1 when something was not flawless."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}; default: all")
    parser.add_argument("--calls", type=int, default=Plan().calls, help="two-track calls at once")
    parser.add_argument("--outage", type=float, default=Plan().outage_s, help="seconds")
    parser.add_argument("--speed", type=float, default=Plan().speed, help="of the callers; 1 = as on the telephone")
    args = parser.parse_args()
    if unknown := set(args.scenario) - SCENARIOS.keys():
        parser.error(f"no scenario {', '.join(sorted(unknown))}: there are {', '.join(SCENARIOS)}")
    plan = Plan(calls=args.calls, outage_s=args.outage, speed=args.speed)
    wanted = await unharmed(plan)
    print(
        f"{plan.calls} calls, outage {plan.outage_s:g} s, speed {plan.speed:g}; {len(wanted)} finals a call", flush=True
    )
    flawless = True
    for name in args.scenario or SCENARIOS:
        verdict = await play(name, plan, wanted)
        flawless = flawless and verdict.flawless
        print(f"{name:26} {verdict.line()}", flush=True)
    return 0 if flawless else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
