"""tail against a real private Redis: what is published arrives, Redis may go away and come back."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.recording_server import final
from tests.web.written_call import WrittenCall
from transcriber.cli import tail
from transcriber.cli.main import build_parser
from transcriber.errors import BadRequest, StoreError
from transcriber.settings.definition import Settings
from transcriber.store.redis.private_server import PrivateRedis
from transcriber.store.redis_store import open_store

Event = dict[str, Any]


@asynccontextmanager
async def following(settings: Settings, call_sid: str | None) -> AsyncIterator[tuple[asyncio.Task[None], Any, Any]]:
    """The following as a task, with the queues of what it shows and says."""
    shown: asyncio.Queue[Event] = asyncio.Queue()
    said: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(tail.follow(settings, call_sid, show=shown.put_nowait, report=said.put_nowait))
    try:
        yield task, shown, said
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def publish(redis: Redis, channel: str, message: str) -> None:
    """Publish as soon as somebody listens, for ten seconds at most."""
    async with asyncio.timeout(10):
        while True:
            if await redis.publish(channel, message):
                return
            await asyncio.sleep(0.02)


async def arrived(redis: Redis, shown: "asyncio.Queue[Event]") -> None:
    """Until what is published is shown: Redis counts a listener a moment before it listens."""
    async with asyncio.timeout(10):
        while shown.empty():
            await publish(redis, "transcripts:CA1:event", json.dumps({"type": "greeting"}))
            await asyncio.sleep(0.02)
    while not shown.empty():
        assert shown.get_nowait() == {"type": "greeting"}


async def next_of(queue: "asyncio.Queue[Any]") -> Any:
    return await asyncio.wait_for(queue.get(), 20)


async def test_one_call_to_its_end_across_a_restart_of_redis(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    async with AsyncExitStack() as stack:
        async with PrivateRedis(tmp_path / "redis") as server, Redis.from_url(server.url) as redis:
            task, shown, said = await stack.enter_async_context(following(settings, "CA1"))
            await arrived(redis, shown)
            assert await next_of(said) == "there is no call CA1 so far; waiting for it"
            await publish(redis, "transcripts:CA1:final", "not json")
            await redis.publish("transcripts:CA2:final", json.dumps(final("of another call")))
            await publish(redis, "transcripts:CA1:final", json.dumps(final("one")))
            while (event := await next_of(shown)) == {"type": "greeting"}:
                pass
            assert event == {}
            assert (await next_of(shown))["text"] == "one"
        assert "Redis is away" in await next_of(said)
        async with PrivateRedis(tmp_path / "redis") as server, Redis.from_url(server.url) as redis:
            assert await next_of(said) == "Redis is back"
            await publish(redis, "transcripts:CA1:event", json.dumps({"type": "call.ended"}))
            assert await next_of(shown) == {"type": "call.ended"}
            await asyncio.wait_for(task, 5)


async def test_a_call_that_is_over_is_not_waited_for(tmp_path: Path) -> None:
    async with PrivateRedis(tmp_path / "redis") as server:
        async with await open_store(server.url, prefix="transcripts", ttl_s=60) as store:
            await (await WrittenCall.begin(store.event_log, "CA1")).end()
        async with following(Settings(data_dir=tmp_path), "CA1") as (task, shown, said):
            assert "transcriber show CA1" in await next_of(said)
            await asyncio.wait_for(task, 5)
            assert shown.empty()


async def test_an_end_that_was_missed_while_redis_was_away_is_noticed(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    async with AsyncExitStack() as stack:
        async with (
            PrivateRedis(tmp_path / "redis") as server,
            await open_store(server.url, prefix="transcripts", ttl_s=60) as store,
        ):
            call = await WrittenCall.begin(store.event_log, "CA1")
            task, shown, said = await stack.enter_async_context(following(settings, "CA1"))
            async with Redis.from_url(server.url) as redis:
                await arrived(redis, shown)
        assert "Redis is away" in await next_of(said)
        async with PrivateRedis(tmp_path / "redis") as server:
            async with await open_store(server.url, prefix="transcripts", ttl_s=60) as store:
                call.event_log = store.event_log
                await call.end()
            await asyncio.wait_for(task, 20)


def test_what_no_call_can_be_named_is_an_error() -> None:
    args = build_parser().parse_args(["tail", "CA 1"])
    with pytest.raises(BadRequest, match="CALL_SID must be 1 to 64"):
        args.run(args)


async def test_no_redis_at_the_start_is_an_error(tmp_path: Path) -> None:
    def nothing(_: object) -> None:
        return None

    with pytest.raises(StoreError):
        await asyncio.wait_for(tail.follow(Settings(data_dir=tmp_path), None, show=nothing, report=nothing), 30)
