"""Three senders of one name, killed at random, a receiver that fails at random, and a Redis that restarts."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.web.written_call import WrittenCall
from tests.webhooks.conftest import Answer, Event, Receiving, command
from transcriber.store.redis.private_server import PrivateRedis
from transcriber.store.redis_store import RedisStore, open_store

pytestmark = [pytest.mark.soak, pytest.mark.timeout(180)]
CALLS, FINALS, SENDERS, KILLS = 30, 8, 3, 6


@asynccontextmanager
async def senders(*arguments: str, url: str) -> AsyncIterator["asyncio.Queue[None]"]:
    """That many processes; one that died is started again, and the queue told."""
    died: asyncio.Queue[None] = asyncio.Queue()
    running: set[asyncio.subprocess.Process] = set()

    async def keep() -> None:
        while True:
            async with command(*arguments, url=url, prefix="transcripts") as child:
                running.add(child)
                await child.communicate()
                running.discard(child)
                died.put_nowait(None)

    async def kill() -> None:
        for _ in range(KILLS):
            await asyncio.sleep(luck.uniform(1, 2))  # the moment is the test
            for child in luck.sample(sorted(running, key=lambda each: each.pid), k=min(1, len(running))):
                child.kill()

    luck = random.Random(3)
    tasks = [asyncio.create_task(keep()) for _ in range(SENDERS)] + [asyncio.create_task(kill())]
    try:
        yield died
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def private_store(directory: Path) -> AsyncIterator[tuple[str, RedisStore]]:
    """A redis-server of its own and a store on it."""
    async with PrivateRedis(directory) as redis, await open_store(redis.url, prefix="transcripts", ttl_s=0) as store:
        yield redis.url, store


async def test_everything_arrives_in_order_whatever_happens(tmp_path: Path, receiving: Receiving) -> None:
    luck = random.Random(7)

    def moody(event: Event, tries: int) -> Answer:
        return 200 if luck.random() < 0.9 else luck.choice((500, 404, 302))

    receiving.rule = moody
    arguments = (receiving.url, "--all", "--takeover-s", "2")
    async with AsyncExitStack() as stack:
        async with (
            PrivateRedis(tmp_path) as redis,
            await open_store(redis.url, prefix="transcripts", ttl_s=0) as store,
        ):
            died = await stack.enter_async_context(senders(*arguments, url=redis.url))
            calls = [await WrittenCall.begin(store.event_log, f"CA{number}") for number in range(CALLS)]
            for number in range(FINALS):
                await asyncio.gather(*(call.say(f"{number}") for call in calls))
                await receiving.took((number // 2) * CALLS)
            for _ in range(KILLS // 2):
                await asyncio.wait_for(died.get(), 60)
        async with (
            PrivateRedis(tmp_path) as redis,
            await open_store(redis.url, prefix="transcripts", ttl_s=0) as store,
        ):
            for call in calls:
                call.event_log = store.event_log
            await asyncio.gather(*(call.end() for call in calls))
            ended = [*map(str, range(FINALS)), "end"]
            async with asyncio.timeout(90):
                while any(receiving.texts(call.call_sid)[-1:] != ["end"] for call in calls):
                    await receiving.took(len(receiving.taken) + 1)
    for call in calls:
        texts = receiving.texts(call.call_sid)
        assert list(dict.fromkeys(texts)) == ended, "nothing is missing, nothing overtakes"
        assert sorted(texts, key=ended.index) == texts, "what is repeated is repeated at once"
    repeated = len(receiving.taken) - CALLS * (FINALS + 1)
    assert repeated <= KILLS * CALLS
