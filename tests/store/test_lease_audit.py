"""Live streams that Redis has no lease of get one, whoever of many servers looks; the others are left alone."""

from typing import Any

from tests.outbox_servers import OpenServer, OutboxServer, say
from transcriber.store.lease_audit import BATCH_CALLS
from transcriber.store.leases import Lease

AGAIN_AT_ONCE_S = 0.0


async def begin(server: OutboxServer, *streams: tuple[str, str]) -> None:
    for call_sid, stream_sid in streams:
        say(server.begin(call_sid, stream_sid), "said")
    await server.delivered()


async def lease_members(server: OutboxServer) -> set[str]:
    members: Any = await server.store.client.zrange(server.store.keys.leases, 0, -1)
    return set(members)


async def test_only_what_lacks_a_lease_gets_one(open_server: OpenServer) -> None:
    server = await open_server()
    await begin(server, ("CA1", "MZ1"), ("CA1", "MZ2"), ("CA2", "MZ3"))
    client, key = server.store.client, server.store.keys.leases
    kept, lost = (Lease(server.store.owner, "CA1", sid).member for sid in ("MZ1", "MZ2"))
    await client.zrem(key, lost)
    until = await client.zscore(key, kept)
    assert await server.store.lease_audit.run_once(every_s=60) == 1
    assert len(await lease_members(server)) == 3
    assert await client.zscore(key, kept) == until


async def test_more_calls_than_are_read_at_once_are_all_looked_at(open_server: OpenServer) -> None:
    server = await open_server()
    store, calls = server.store, 2 * BATCH_CALLS + 7
    pipeline = store.client.pipeline(transaction=False)
    for number in range(calls):
        call_sid = f"CA{number}"
        pipeline.hset(store.keys.call(call_sid), mapping={"status": "live", "live_streams": 1, "live:MZ": "dead"})
        pipeline.zadd(store.keys.live, {call_sid: number})
    await pipeline.execute()
    assert await store.lease_audit.run_once(every_s=AGAIN_AT_ONCE_S) == calls
    assert len(await lease_members(server)) == calls


async def test_one_of_many_servers_looks(open_server: OpenServer) -> None:
    servers = [await open_server() for _ in range(3)]
    await begin(servers[0], ("CA1", "MZ1"))
    await servers[0].store.client.delete(servers[0].store.keys.leases)
    assert [await server.store.lease_audit.run_once(every_s=60) for server in servers] == [1, None, None]


async def test_what_the_list_names_and_is_gone_does_no_harm(open_server: OpenServer) -> None:
    server = await open_server()
    await server.store.client.zadd(server.store.keys.live, {"CAgone": 1})
    assert await server.store.lease_audit.run_once(every_s=60) == 0
