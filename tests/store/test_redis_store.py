"""The store as a whole: its connections."""

import asyncio

import pytest

from tests.sample_events import append, final, opened, until
from transcriber.errors import StoreError
from transcriber.store.redis.client import MAX_CONNECTIONS
from transcriber.store.redis_store import RedisStore, open_store


async def test_a_burst_waits_for_connections_instead_of_failing(store: RedisStore) -> None:
    sids = [f"MZ{n}" for n in range(8 * MAX_CONNECTIONS)]
    for start in range(0, len(sids), MAX_CONNECTIONS):
        await asyncio.gather(*(opened(store, "CA1", sid) for sid in sids[start : start + MAX_CONNECTIONS]))
    await asyncio.gather(*(append(store, 1, final("CA1", stream_sid=sid), stream_sid=sid) for sid in sids))
    assert (await store.history.call("CA1"))["finals"] == 8 * MAX_CONNECTIONS


async def test_a_cancelled_command_leaves_no_answer_for_the_next(redis_url: str, store: RedisStore) -> None:
    async with await open_store(f"{redis_url}?max_connections=1", prefix=store.keys.prefix, ttl_s=60) as narrow:
        await narrow.client.set(narrow.keys.channel("a", "event"), "of the next")
        for turns in range(20):
            task = asyncio.create_task(narrow.history.events("CA1"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            assert await narrow.client.get(narrow.keys.channel("a", "event")) == "of the next"


async def test_a_closed_store_holds_no_connection(redis_url: str, store: RedisStore) -> None:
    other = await open_store(f"{redis_url}?client_name={store.keys.prefix}", prefix=store.keys.prefix, ttl_s=60)
    async with other, other.feed.follow():
        assert await connections_of(store) > 0
    await until(lambda: none_of(store))


async def none_of(store: RedisStore) -> bool:
    return await connections_of(store) == 0


async def connections_of(store: RedisStore) -> int:
    clients = await store.client.client_list()
    return sum(client["name"] == store.keys.prefix for client in clients)


async def test_no_redis_is_an_error_at_once() -> None:
    with pytest.raises(StoreError, match="Redis does not answer"):
        await open_store("unix:///nowhere/redis.sock", prefix="transcripts", ttl_s=0)
