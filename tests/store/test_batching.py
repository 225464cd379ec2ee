"""Commands that go to Redis together: each has its own answer, its own error, and its own way out of trouble."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from bench.own_redis import own_redis
from tests.store.test_topologies import cluster
from transcriber.errors import StoreError
from transcriber.store.redis.batching import MAX_BATCH, CommandBatches
from transcriber.store.redis.client import connect, disconnect
from transcriber.store.redis.errors import redis_failures
from transcriber.store.redis_store import RedisStore

ALL = 3 * MAX_BATCH + 1
BUSY = """
local function now() local time = redis.call('TIME') return time[1] + time[2] / 1e6 end
local till = now() + ARGV[1]
while now() < till do end
"""


async def test_each_command_of_a_batch_has_its_own_answer(store: RedisStore) -> None:
    client, key = store.client, f"{store.keys.prefix}:numbers"
    batches = CommandBatches(client)
    answers = await asyncio.gather(*(batches.execute("RPUSH", key, number) for number in range(ALL)))
    assert answers == list(range(1, ALL + 1))
    assert await client.lrange(key, 0, -1) == [str(number) for number in range(ALL)]


async def test_an_error_is_that_of_its_command_alone(store: RedisStore) -> None:
    client, key = store.client, f"{store.keys.prefix}:text"
    batches = CommandBatches(client)
    answers = await asyncio.gather(
        batches.execute("SET", key, "word"),
        batches.execute("LPUSH", key, "word"),
        batches.execute("GET", key),
        return_exceptions=True,
    )
    assert isinstance(answers[1], ResponseError)
    assert (answers[0], answers[2]) == (True, "word")


async def test_a_script_that_redis_has_forgotten_is_loaded_again(store: RedisStore) -> None:
    client = store.client
    batches, script = CommandBatches(client), client.register_script("return ARGV[1] .. KEYS[1]")
    for _ in range(2):
        await client.script_flush()
        assert await asyncio.gather(*(batches.run(script, ["b"], [text]) for text in "ax")) == ["ab", "xb"]


async def test_a_dead_redis_fails_what_waits_and_the_next_goes_through() -> None:
    async with own_redis() as redis:
        client = connect(redis.url)
        batches = CommandBatches(client)
        await batches.execute("PING")
        await redis.kill()
        failed = await asyncio.gather(*(batches.execute("PING") for _ in range(ALL)), return_exceptions=True)
        assert all(isinstance(answer, RedisError | OSError) for answer in failed)
        await redis.start()
        assert await batches.execute("PING")
        await disconnect(client)


async def test_a_nodes_commands_go_together_and_wait_for_no_other_node(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (clients, ports):
        client = connect(f"redis+cluster://127.0.0.1:{ports[0]}")
        batches, script = CommandBatches(client), client.register_script("return redis.call('INCR', KEYS[1])")
        await client.ping()
        before = [await commands_processed(node) for node in clients]
        names = [f"{{{number}}}" for number in range(ALL)]
        assert await asyncio.gather(*(batches.run(script, [name], []) for name in names)) == [1] * ALL
        assert await asyncio.gather(*(batches.execute("GET", name) for name in names)) == ["1"] * ALL
        done = [await commands_processed(node) - then for node, then in zip(clients, before, strict=True)]
        assert min(done) > ALL // 2  # a third of all on each, twice
        busy = asyncio.ensure_future(clients[0].eval(BUSY, 0, 1.5))
        await asyncio.sleep(0.1)
        answers = [asyncio.create_task(batches.execute("GET", name)) for name in names]
        while sum(answer.done() for answer in answers) < ALL // 2:
            assert not busy.done()
            await asyncio.sleep(0.01)
        await busy
        assert await asyncio.gather(*answers) == ["1"] * ALL
        await disconnect(client)


async def commands_processed(client: Redis) -> int:
    return int((await client.info("stats"))["total_commands_processed"])


async def test_a_stalled_redis_is_waited_for_once() -> None:
    """Its deadline is that of the batch: what waits for the next one fails with it."""
    async with own_redis() as redis:
        client = connect(redis.url)
        batches = CommandBatches(client)
        await batches.execute("PING")
        redis.stall()
        began = asyncio.get_running_loop().time()
        first = asyncio.create_task(batches.execute("PING"))
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(batches.execute("PING")) for _ in range(ALL)]
        for command in (first, *waiting):
            with pytest.raises(StoreError), redis_failures("cannot ask"):
                await command
        assert asyncio.get_running_loop().time() - began < 4
        redis.wake()
        await disconnect(client)


async def test_who_stops_waiting_shifts_nobodys_answer(store: RedisStore) -> None:
    batches = CommandBatches(store.client)
    commands = [asyncio.create_task(batches.execute("ECHO", str(number))) for number in range(9)]
    await asyncio.sleep(0)
    commands[4].cancel()
    answers = await asyncio.gather(*commands, return_exceptions=True)
    assert [answer for answer in answers if isinstance(answer, str)] == list("01235678")
