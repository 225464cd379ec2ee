"""The same store behind Sentinel and on a Redis Cluster of three nodes, with real servers."""

import asyncio
import json
import os
import random
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError

from tests.sample_events import (
    STARTED_MS,
    append,
    call_ended,
    call_started,
    closed,
    final,
    opened,
    partial,
    stream_started,
    stream_stopped,
    until,
)
from tests.store.test_call_history import sids
from transcriber.errors import CallNotFound, StoreError
from transcriber.observability.metrics import Metrics
from transcriber.outbox.outbox import Outbox
from transcriber.outbox.server_directory import ServerDirectory
from transcriber.store.ports import CallQuery
from transcriber.store.redis import binary
from transcriber.store.redis.client import connect, disconnect
from transcriber.store.redis_store import RedisStore, open_store
from transcriber.store.search.query import parse_query
from transcriber.webhooks.dead_letters import DeadLetter, DeadLetters
from transcriber.webhooks.queue import WebhookQueue

SLOTS = 16384
SENTINEL = """
sentinel monitor mymaster 127.0.0.1 {port} 1
sentinel down-after-milliseconds mymaster 500
sentinel failover-timeout mymaster 3000
"""


def free_port() -> int:
    """A port whose cluster bus (port + 10000) is a port, too; anywhere, as other tests look for one at this moment."""
    for port in random.sample(range(11000, 22000), 1000):
        with socket.socket() as one, socket.socket() as two:
            try:
                one.bind(("127.0.0.1", port))
                two.bind(("127.0.0.1", port + 10000))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


@asynccontextmanager
async def redis_server(directory: Path, *options: str) -> AsyncIterator[int]:
    """A redis-server on a port of its own."""
    port = free_port()
    own = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", "")
    process = await asyncio.create_subprocess_exec(
        *(str(binary.find()), *options, *own), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with Redis(port=port) as client:
            await until(lambda: pings(client))
        yield port
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def pings(client: Redis) -> bool:
    try:
        return bool(await client.ping())
    except RedisError:
        return False


async def use_all_of(store: RedisStore, *, partials: bool = True) -> None:
    """Every port once, over several slots. `partials`: whether readers of everything get them."""
    calls = [f"CA{n}" for n in range(8)]
    async with store.feed.follow() as feed:
        for n, call_sid in enumerate(calls):
            await opened(store, call_sid, at_ms=STARTED_MS + n)
            await append(store, 1, final(call_sid))
            await store.event_log.publish(partial(call_sid))
            assert await closed(store, call_sid, number=2) is True
        async with asyncio.timeout(5):
            heard = [await anext(feed) for _ in range((5 + partials) * len(calls))]
    for call_sid in calls:
        kept = await store.history.events(call_sid)
        assert [m.json for m in heard if m.call_sid == call_sid and m.channel != "partial"] == list(kept)
        assert len(kept) == 5
    found = await store.history.calls(CallQuery(terms=parse_query("words")))
    assert found.calls
    page = await store.history.calls(CallQuery(status="ended"))
    assert [call["call_sid"] for call in page.calls] == calls[::-1]
    await deliver_all_of(store, calls)
    await store.check_acl()
    await store.check_database()
    assert await store.write_failure() == ""
    await store.client.delete(store.keys.calls)
    assert [done async for done in store.index_repair.rebuild()][-1] == len(calls)
    assert sids(await store.history.calls(CallQuery())) == calls[::-1]
    await store.history.delete("CA3")
    with pytest.raises(CallNotFound):
        await store.history.call("CA3")
    ticket = await store.tickets.issue("CA1")
    assert await store.tickets.redeem(ticket, "CA1") is True


async def deliver_all_of(store: RedisStore, calls: list[str]) -> None:
    """What a webhook asks of Redis."""
    queue = WebhookQueue(store.client, store.keys, name="crm", consumer="one", lease_s=30)
    assert await queue.register(born_ms=0) is True
    assert sorted([call_sid async for call_sid in queue.unsent()]) == calls
    for call_sid in calls:
        events_to_send = await queue.take(call_sid)
        assert isinstance(events_to_send, list)
        assert [event.json for event in events_to_send] == list(await store.history.events(call_sid))
        await queue.count_attempt(events_to_send[0], attempts=1)
        assert await queue.renew(call_sid) is True
        assert await queue.take(call_sid, done=events_to_send) == []
    assert [call_sid async for call_sid in queue.unsent()] == []
    letters = DeadLetters(store.client, store.keys, name="crm", ttl_s=60)
    letter = DeadLetter(calls[0], 3, "500", 20, "2026-11-23T05:20:00.123Z")
    assert await letters.add(letter) is True
    assert await letters.all() == [letter]
    exhumed = await letters.load_event(letter)
    assert exhumed is not None
    assert exhumed.seq == 3


async def test_behind_sentinel(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as data_port:
        config = tmp_path / "sentinel.conf"
        config.write_text(f"sentinel monitor mymaster 127.0.0.1 {data_port} 1\n")
        async with redis_server(tmp_path, str(config), "--sentinel") as sentinel_port:
            url = f"redis+sentinel://127.0.0.1:{sentinel_port}/mymaster/1"
            async with await open_store(url, prefix="transcripts", ttl_s=3600) as store:
                await use_all_of(store)
            async with Redis(port=data_port, db=1) as client:
                assert await client.exists("transcripts:calls")


async def test_a_failover_through_sentinel_loses_nothing(tmp_path: Path) -> None:
    for name in ("master", "replica", "sentinel", "outbox"):
        (tmp_path / name).mkdir()
    async with (
        redis_server(tmp_path / "master") as master_port,
        redis_server(tmp_path / "replica", "--replicaof", "127.0.0.1", str(master_port)) as replica_port,
    ):
        config = tmp_path / "sentinel" / "sentinel.conf"
        config.write_text(SENTINEL.format(port=master_port))
        async with redis_server(tmp_path / "sentinel", str(config), "--sentinel") as sentinel_port:
            directory = ServerDirectory.create(tmp_path / "outbox")
            url = f"redis+sentinel://127.0.0.1:{sentinel_port}/mymaster/0"
            async with (
                Redis(port=master_port) as master,
                Redis(port=replica_port) as replica,
                Redis(port=sentinel_port) as sentinel,
                await open_store(url, prefix="transcripts", ttl_s=3600, owner=directory.owner) as store,
            ):
                replica_pid = (await replica.info("server"))["process_id"]
                outbox = Outbox(directory, store.event_log, Metrics())
                publisher = outbox.open_stream(call_started("CA1"), stream_started("CA1"), at_ms=STARTED_MS)
                publisher.send(final("CA1", "before"))
                await until(lambda: knows_a_replica(sentinel), within_s=30)
                await until(lambda: asyncio.sleep(0, not outbox.waiting))
                await until(lambda: is_replicated(master), within_s=30)
                os.kill(replica_pid, signal.SIGSTOP)
                await command(master, "CLIENT", "KILL", "TYPE", "replica")
                publisher.send(final("CA1", "unseen by the replica"))
                await until(lambda: asyncio.sleep(0, not outbox.waiting))
                with suppress(RedisError):
                    await command(master, "SHUTDOWN", "NOSAVE")
                os.kill(replica_pid, signal.SIGCONT)
                for n in range(20):
                    publisher.send(final("CA1", f"during {n}"))
                await publisher.close(stream_stopped("CA1"), call_ended("CA1"))
                await until(lambda: asyncio.sleep(0, not outbox.waiting), within_s=40)
                await until(lambda: is_readable(store))
                events = [json.loads(text) for text in await store.history.events("CA1")]
                await outbox.aclose()
                assert (await replica.info("replication"))["role"] == "master"
    said = [event["text"] for event in events if event["type"] == "final"]
    assert said == ["before", "unseen by the replica", *(f"during {n}" for n in range(20))]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


async def is_readable(store: RedisStore) -> bool:
    """Histories are read over connections of their own, which have to ask the sentinel, too."""
    with suppress(StoreError):
        return bool(await store.history.events("CA1"))
    return False


async def is_replicated(master: Redis) -> bool:
    await master.set("marker", 1)  # WAIT asks for what its own connection has written
    return bool(await command(master, "WAIT", 1, 1000) == 1)


async def knows_a_replica(sentinel: Redis) -> bool:
    return bool(await command(sentinel, "SENTINEL", "REPLICAS", "mymaster"))


@asynccontextmanager
async def cluster(directory: Path, *options: str) -> AsyncIterator[tuple[list[Redis], list[int]]]:
    """Three nodes that share the slots evenly: clients of each, and their ports."""
    async with AsyncExitStack() as stack:
        ports = [
            await stack.enter_async_context(
                redis_server(directory, "--cluster-enabled", "yes", "--cluster-config-file", f"nodes{n}.conf", *options)
            )
            for n in range(3)
        ]
        clients = [await stack.enter_async_context(Redis(port=port, decode_responses=True)) for port in ports]
        for n, client in enumerate(clients):
            await command(client, "CLUSTER", "ADDSLOTS", *range(SLOTS * n // 3, SLOTS * (n + 1) // 3))
            await command(client, "CLUSTER", "MEET", "127.0.0.1", ports[0])
        await until(lambda: joined(clients))
        yield clients, ports


async def test_on_a_cluster(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (clients, ports):
        url = f"redis+cluster://127.0.0.1:{ports[0]}"
        async with await open_store(url, prefix="transcripts", ttl_s=3600) as store:
            await use_all_of(store)
        assert all([await client.dbsize() > 0 for client in clients])


async def test_a_subscription_that_a_node_of_a_cluster_loses_is_told(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (clients, ports):
        url = f"redis+cluster://127.0.0.1:{ports[0]}"
        async with await open_store(url, prefix="transcripts", ttl_s=3600) as store:
            for call_sid in ("CA1", None):
                async with store.feed.follow(call_sid) as reader:
                    for client in clients:
                        await command(client, "CLIENT", "KILL", "TYPE", "pubsub")
                    with pytest.raises(StoreError):
                        await asyncio.wait_for(anext(reader), 20)
                async with store.feed.follow(call_sid) as reader:
                    await store.event_log.publish(partial("CA1"))
                    assert (await asyncio.wait_for(anext(reader), 20)).channel == "partial"


async def test_a_call_that_moves_to_another_node_goes_on(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (clients, ports):
        url = f"redis+cluster://127.0.0.1:{ports[0]}"
        async with await open_store(url, prefix="transcripts", ttl_s=3600) as store:
            await opened(store, "CA1")
            await append(store, 1, final("CA1"))
            await move("{CA1}", clients, ports)  # what is written next is answered with MOVED
            await append(store, 2, final("CA1"))
            assert await closed(store, "CA1", number=3) is True
            numbers = [json.loads(text)["seq"] for text in await store.history.events("CA1")]
            assert numbers == [1, 2, 3, 4, 5, 6]


async def test_a_connection_that_is_closed_while_it_is_opened_is_a_lost_one(tmp_path: Path) -> None:
    """As redis-py closes all of a cluster's when one node is gone; at every turn of the event loop in turn."""
    failures: list[BaseException] = []
    async with cluster(tmp_path) as (_, ports):
        for turns in range(60):
            client = connect(f"redis+cluster://127.0.0.1:{ports[0]}")
            assert isinstance(client, RedisCluster)
            await client.initialize()
            pipeline = client.pipeline(transaction=False)
            pipeline.execute_command("GET", "a").execute_command("GET", "b")
            answers = await asyncio.gather(
                *(client.get("a"), client.exists("b"), pipeline.execute(raise_on_error=False)),
                close_connections(client, after_turns=turns),
                return_exceptions=True,
            )
            flat = [one for answer in answers for one in (answer if isinstance(answer, list) else [answer])]
            failures += [one for one in flat if isinstance(one, BaseException)]
            await disconnect(client)
    assert failures
    assert [one for one in failures if not isinstance(one, RedisError)] == []


async def close_connections(client: RedisCluster, *, after_turns: int) -> None:
    for _ in range(after_turns):
        await asyncio.sleep(0)
    for node in client.get_nodes():
        await node.disconnect()


async def move(tag: str, clients: list[Redis], ports: list[int]) -> None:
    """The slot of that hash tag, with its keys, to the node after its own."""
    slot = int(await command(clients[0], "CLUSTER", "KEYSLOT", tag))
    names = [str(await command(client, "CLUSTER", "MYID")) for client in clients]
    old = next(n for n in range(3) if slot < SLOTS * (n + 1) // 3)
    new = (old + 1) % 3
    await command(clients[new], "CLUSTER", "SETSLOT", slot, "IMPORTING", names[old])
    await command(clients[old], "CLUSTER", "SETSLOT", slot, "MIGRATING", names[new])
    keys = await command(clients[old], "CLUSTER", "GETKEYSINSLOT", slot, 100)
    await command(clients[old], "MIGRATE", "127.0.0.1", ports[new], "", 0, 5000, "KEYS", *keys)
    for n in (new, old, 3 - old - new):
        await command(clients[n], "CLUSTER", "SETSLOT", slot, "NODE", names[new])


async def command(client: Redis, *words: str | int) -> Any:
    return await client.execute_command(*words)  # type: ignore[no-untyped-call]


async def joined(clients: list[Redis]) -> bool:
    for client in clients:
        info = await command(client, "CLUSTER", "INFO")
        if not {"cluster_state:ok", f"cluster_known_nodes:{len(clients)}"} <= set(info.split()):
            return False
    return True
