"""PUBSUB=sharded: what is published goes to the channels of shards. On Redis 7, and on a cluster of three of them."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, nullcontext, suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from bench.own_redis import OwnRedis, own_redis
from tests.process import program
from tests.sample_events import append, closed, final, opened, partial, until
from tests.server.troubled import user
from tests.store.test_feed import take, texts
from tests.store.test_topologies import cluster, command, move, redis_server, use_all_of
from transcriber.errors import ConfigError, StoreError
from transcriber.store.feed import RedisFeed
from transcriber.store.redis import binary
from transcriber.store.redis_store import RedisStore, open_store

CALLS = [f"CA{n}" for n in range(8)]
"""In slots of all three nodes."""


async def version() -> int:
    return await binary.major_version(binary.find())


@pytest.fixture
async def redis7() -> AsyncIterator[OwnRedis]:
    """A Redis that knows SPUBLISH."""
    if await version() < 7:
        pytest.skip("redis-server 7 is not here")
    async with own_redis() as server:
        yield server


@pytest.fixture
async def sharded(redis7: OwnRedis) -> AsyncIterator[RedisStore]:
    async with await open_store(redis7.url, prefix="p", ttl_s=60, sharded=True) as store:
        yield store


async def test_a_redis_that_is_too_old_is_refused(redis_url: str) -> None:
    expected = nullcontext() if await version() >= 7 else pytest.raises(ConfigError, match=r"needs Redis 7\.0")
    async with await open_store(redis_url, prefix="sharded", ttl_s=60, sharded=True) as store:
        with expected:
            await store.check_sharded()


async def test_a_cluster_that_is_too_old_is_refused(tmp_path: Path) -> None:
    expected = nullcontext() if await version() >= 7 else pytest.raises(ConfigError, match=r"needs Redis 7\.0")
    async with cluster(tmp_path) as (_, ports):
        url = f"redis+cluster://127.0.0.1:{ports[0]}"
        async with await open_store(url, prefix="sharded", ttl_s=60, sharded=True) as store:
            with expected:
                await store.check_sharded()


@pytest.mark.redis7
async def test_every_message_is_published_on_the_channel_of_its_shard(sharded: RedisStore) -> None:
    async with Redis.from_url(str(sharded.client.get_connection_kwargs()["path"]).join(("unix://", ""))) as client:
        pubsub = client.pubsub()
        for kind in ("partial", "final", "event"):
            await pubsub.ssubscribe(f"p:{{CA1}}:{kind}")
        await pubsub.psubscribe("p:*")
        await opened(sharded, "CA1")
        await sharded.event_log.publish(partial("CA1"))
        await append(sharded, 1, final("CA1"))
        heard: list[tuple[str, str, str]] = []
        while len(heard) < 7:
            message = await pubsub.get_message(timeout=5)
            assert message is not None
            if message["type"] in ("smessage", "pmessage"):
                heard.append((message["type"], message["channel"].decode(), message["data"].decode()))
        await pubsub.aclose()  # type: ignore[no-untyped-call]
    events = list(await sharded.history.events("CA1"))
    on_shards = [(channel, text) for kind, channel, text in heard if kind == "smessage"]
    assert [channel for channel, _ in on_shards] == ["p:{CA1}:event"] * 2 + ["p:{CA1}:partial", "p:{CA1}:final"]
    assert [text for channel, text in on_shards if "partial" not in channel] == events
    assert [(channel, text) for kind, channel, text in heard if kind == "pmessage"] == [
        ("p:CA1:event", events[0]),
        ("p:CA1:event", events[1]),
        ("p:CA1:final", events[2]),
    ]


@pytest.mark.redis7
async def test_readers_of_a_call_get_everything_and_readers_of_all_calls_no_partials(sharded: RedisStore) -> None:
    async with sharded.feed.follow("CA1") as one, sharded.feed.follow() as everything:
        await opened(sharded, "CA1")
        for number in (1, 2):
            await sharded.event_log.publish(partial("CA1", f"partial {number}"))
            await append(sharded, number, final("CA1", f"final {number}"))
        assert texts(await take(one, 6)) == ["", "", "partial 1", "final 1", "partial 2", "final 2"]
        assert texts(await take(everything, 4)) == ["", "", "final 1", "final 2"]
        assert await sharded.write_failure() == ""
        assert sharded.secondary_writes.problems == {}


@pytest.mark.redis7
@pytest.mark.parametrize(("lacking", "rule"), [("spublish", "+spublish"), ("ssubscribe", "+ssubscribe")])
async def test_the_rights_for_shards_are_tried(redis7: OwnRedis, lacking: str, rule: str) -> None:
    url = await user(redis7, "~p:*", "&p:*", "+@all", f"-{lacking}")
    async with await open_store(url, prefix="p", ttl_s=60, sharded=True) as store:
        await store.check_sharded()
        with pytest.raises(StoreError, match=rule.replace("+", r"\+") + "$"):
            await store.check_acl()
    async with await open_store(url, prefix="p", ttl_s=60) as store:
        await store.check_acl()


@pytest.fixture
async def on_cluster(tmp_path: Path) -> AsyncIterator[tuple[RedisStore, list[Redis], list[int]]]:
    if await version() < 7:
        pytest.skip("redis-server 7 is not here")
    async with cluster(tmp_path) as (clients, ports):
        url = f"redis+cluster://127.0.0.1:{ports[0]}"
        async with await open_store(url, prefix="transcripts", ttl_s=3600, sharded=True) as store:
            yield store, clients, ports


OnCluster = tuple[RedisStore, list[Redis], list[int]]


@pytest.mark.redis7
async def test_on_a_cluster_each_node_has_the_readers_of_its_calls(on_cluster: OnCluster) -> None:
    store, clients, _ = on_cluster
    await store.check_sharded()
    await store.check_acl()
    followings = [store.feed.follow(call_sid) for call_sid in CALLS]
    readers = [await following.__aenter__() for following in followings]
    for call_sid in CALLS:
        await opened(store, call_sid)
        await store.event_log.publish(partial(call_sid, call_sid))
        await append(store, 1, final(call_sid, call_sid))
    for call_sid, reader in zip(CALLS, readers, strict=True):
        messages = await take(reader, 4)
        assert {message.call_sid for message in messages} == {call_sid}
        assert texts(messages) == ["", "", call_sid, call_sid]
    channels = [len(await command(client, "PUBSUB", "SHARDCHANNELS")) for client in clients]
    assert sum(channels) == 3 * len(CALLS)
    assert all(channels)
    for following in followings:
        await following.__aexit__(None, None, None)


@pytest.mark.redis7
async def test_the_whole_store_on_a_cluster_with_shards(on_cluster: OnCluster) -> None:
    await use_all_of(on_cluster[0], partials=False)


@pytest.mark.redis7
async def test_readers_of_a_call_that_moves_are_told_and_follow_it(on_cluster: OnCluster) -> None:
    store, clients, ports = on_cluster
    await opened(store, "CA1")
    async with store.feed.follow("CA1") as reader, store.feed.follow("CA2") as other:
        await append(store, 1, final("CA1", "before"))
        await move("{CA1}", clients, ports)
        assert texts(await take(reader, 1)) == ["before"]
        with pytest.raises(StoreError, match="moved to another node"):
            await take(reader, 1)
        async with store.feed.follow("CA1") as reader_again:
            await append(store, 2, final("CA1", "after"))
            assert texts(await take(reader_again, 1)) == ["after"]
        await store.event_log.publish(partial("CA2", "other"))
        assert texts(await take(other, 1)) == ["other"]


@pytest.mark.redis7
async def test_a_lost_node_ends_its_readers_and_is_found_again(on_cluster: OnCluster) -> None:
    store, clients, _ = on_cluster
    async with store.feed.follow("CA1") as reader:
        for client in clients:
            await command(client, "CLIENT", "KILL", "TYPE", "pubsub")
        with pytest.raises(StoreError):
            await take(reader, 1)
    async with store.feed.follow("CA1") as reader:
        await store.event_log.publish(partial("CA1", "after"))
        assert texts(await take(reader, 1)) == ["after"]


@pytest.mark.redis7
async def test_a_node_that_hangs_holds_up_only_its_own_readers(on_cluster: OnCluster) -> None:
    store, clients, _ = on_cluster
    async with store.feed.follow("CA1"):
        [owner] = [n for n, client in enumerate(clients) if await command(client, "PUBSUB", "SHARDCHANNELS")]
    there: list[str] = []
    elsewhere: list[str] = []
    for call_sid in CALLS:
        slot = int(await command(clients[0], "CLUSTER", "KEYSLOT", f"{{{call_sid}}}"))
        (there if slot * 3 // 16384 == owner else elsewhere).append(call_sid)
    pid = (await clients[owner].info("server"))["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        async with store.feed.follow(elsewhere[0]) as reader:
            await store.event_log.publish(partial(elsewhere[0], "goes on"))
            assert texts(await take(reader, 1)) == ["goes on"]
    finally:
        os.kill(pid, signal.SIGCONT)
    async with store.feed.follow(there[-1]) as reader:
        await until(lambda: publishes(store, there[-1]))
        assert texts(await take(reader, 1)) == ["back"]


async def publishes(store: RedisStore, call_sid: str) -> bool:
    try:
        await store.event_log.publish(partial(call_sid, "back"))
    except StoreError:
        return False
    return True


@pytest.mark.redis7
async def test_webhook_news_and_ends_come_without_partials(sharded: RedisStore) -> None:
    async with sharded.feed.follow(partials=False) as news:
        await opened(sharded, "CA1")
        await sharded.event_log.publish(partial("CA1"))
        await closed(sharded, "CA1", number=1)
        heard = [json.loads(message.json)["type"] for message in await take(news, 4)]
    assert heard == ["call.started", "stream.started", "stream.stopped", "call.ended"]


@pytest.mark.redis7
async def test_the_example_of_a_subscriber_reads_a_call_of_a_cluster(on_cluster: OnCluster) -> None:
    store, _, ports = on_cluster
    await opened(store, "CA1")
    await append(store, 1, final("CA1", "before"))
    example = str(Path(__file__).parents[2] / "deploy/examples/subscribe.py")
    url = f"redis://127.0.0.1:{ports[1]}"
    async with program(sys.executable, example, "CA1", "--sharded", environment={"REDIS_URL": url}) as child:
        assert child.stdout is not None
        shown = [await asyncio.wait_for(child.stdout.readline(), 20)]
        await append(store, 2, final("CA1", "live"))
        shown.append(await asyncio.wait_for(child.stdout.readline(), 20))
        await closed(store, "CA1", number=3)
        assert await asyncio.wait_for(child.wait(), 20) == 0
    assert [line.decode().rpartition(": ")[2] for line in shown] == ["before\n", "live\n"]


@pytest.mark.redis7
async def test_readers_follow_their_call_to_the_replica_that_takes_over(tmp_path: Path) -> None:
    replicated = ("--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0")
    async with cluster(tmp_path, *replicated) as (masters, ports), AsyncExitStack() as stack:
        for n, master in enumerate(masters):
            name = ("--cluster-enabled", "yes", "--cluster-config-file", f"replica{n}.conf", *replicated)
            replica = Redis(port=await stack.enter_async_context(redis_server(tmp_path, *name)), decode_responses=True)
            await stack.enter_async_context(replica)
            await command(replica, "CLUSTER", "MEET", "127.0.0.1", ports[0])
            await until(lambda: replicates(replica, master), within_s=30)  # noqa: B023 - awaited here
        url = f"redis+cluster://127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}"
        async with await open_store(url, prefix="transcripts", ttl_s=3600, sharded=True) as store:
            async with store.feed.follow("CA1") as reader:
                [owner] = [node for node in masters if await command(node, "PUBSUB", "SHARDCHANNELS")]
                os.kill((await owner.info("server"))["process_id"], signal.SIGKILL)
                with pytest.raises(StoreError):
                    await take(reader, 1)
            feed = RedisFeed(store.client, store.keys, confirm_s=60)
            async with feed.follow("CA1") as reader:
                await until(lambda: publishes(store, "CA1"), within_s=30)
                assert texts(await take(reader, 1)) == ["back"]
            await feed.aclose()


async def replicates(replica: Redis, master: Redis) -> bool:
    """Whether it has become that node's replica and has its data; it cannot while it does not know the node."""
    with suppress(RedisError):
        await command(replica, "CLUSTER", "REPLICATE", await command(master, "CLUSTER", "MYID"))
    return bool((await replica.info("replication")).get("master_link_status") == "up")
