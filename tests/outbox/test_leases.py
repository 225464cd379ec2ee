"""Whose calls are alive: those of dead servers end as interrupted, once; those of the living do not, or go on."""

import asyncio
from functools import partial
from typing import Any

import pytest

from bench.own_redis import OwnRedis
from tests.outbox.test_outbox import texts
from tests.outbox_servers import OpenServer, OutboxServer, say
from tests.sample_events import until
from transcriber.outbox.lease_monitor import AUDIT_S, LeaseMonitor
from transcriber.store.leases import Lease

LEASE_S = 1.0


@pytest.fixture
def open_server(open_server: OpenServer) -> OpenServer:
    """Servers with short leases."""
    return partial(open_server, lease_s=LEASE_S)


def lease_monitor(server: OutboxServer, *, audit_s: float = AUDIT_S) -> LeaseMonitor:
    """One that looks often."""
    store = server.store
    return LeaseMonitor(server.outbox, store.event_log, store.lease_audit, renew_s=LEASE_S / 10, audit_s=audit_s)


async def status(server: OutboxServer, call_sid: str = "CA1") -> Any:
    return (await server.store.history.call(call_sid))["status"]


async def test_a_surviving_server_ends_the_calls_of_a_dead_one(open_server: OpenServer) -> None:
    dead, survivor = await open_server(), await open_server()
    say(dead.begin("CA1", "MZ1"), "of the dead")
    mine = survivor.begin("CA2", "MZ2")
    say(mine, "of the living")
    await dead.delivered()
    await survivor.delivered()
    await dead.die()
    keeping = asyncio.create_task(lease_monitor(survivor).run())
    await until(lambda: is_status(survivor, "CA1", "interrupted"))
    events = await survivor.events("CA1")
    assert [event["type"] for event in events][-2:] == ["final", "call.ended"]
    assert events[-1]["reason"] == "interrupted"
    assert await status(survivor, "CA2") == "live"
    assert "CA1" not in await survivor.store.client.zrange(survivor.store.keys.live, 0, -1)
    await survivor.close(mine)
    keeping.cancel()
    assert await survivor.store.client.zcard(survivor.store.keys.leases) == 0


async def test_a_dead_servers_call_whose_lease_was_lost_is_found(open_server: OpenServer) -> None:
    dead, survivor = await open_server(), await open_server()
    say(dead.begin(), "said")
    await dead.delivered()
    await dead.die()
    await survivor.store.client.delete(survivor.store.keys.leases)
    keeping = asyncio.create_task(lease_monitor(survivor, audit_s=0).run())
    await until(lambda: is_status(survivor, "CA1", "interrupted"))
    keeping.cancel()


async def is_status(server: OutboxServer, call_sid: str, expected: str) -> bool:
    return bool(await status(server, call_sid) == expected)


async def test_many_that_end_it_at_once_end_it_once(open_server: OpenServer) -> None:
    dead = await open_server()
    say(dead.begin(), "said")
    await dead.delivered()
    await dead.die()
    survivors = [await open_server() for _ in range(3)]
    lease = Lease(dead.directory.owner, "CA1", "MZ1")
    await asyncio.gather(*(server.outbox.takeover.interrupt(lease) for server in survivors for _ in range(5)))
    assert [event["type"] for event in await survivors[0].events()].count("call.ended") == 1
    ended = [server.metrics.registry.get_sample_value("transcriber_streams_interrupted_total") for server in survivors]
    assert sum(filter(None, ended)) == 1


async def test_a_call_goes_on_while_one_of_its_servers_lives(open_server: OpenServer) -> None:
    dead, living = await open_server(), await open_server()
    say(dead.begin("CA1", "MZ1"), "one")
    mine = living.begin("CA1", "MZ2")
    say(mine, "two")
    await dead.delivered()
    await living.delivered()
    await living.outbox.takeover.interrupt(Lease(dead.directory.owner, "CA1", "MZ1"))
    assert await status(living) == "live"
    await living.close(mine)
    assert [event["type"] for event in await living.events()][-2:] == ["stream.stopped", "call.ended"]
    assert await status(living) == "ended"


@pytest.mark.parametrize("says_more", [True, False])
async def test_a_server_that_was_only_slow_resumes_its_calls(open_server: OpenServer, *, says_more: bool) -> None:
    slow, other = await open_server(), await open_server()
    publisher = slow.begin()
    say(publisher, "before")
    await slow.delivered()
    await other.outbox.takeover.interrupt(publisher.lease)
    assert await status(other) == "interrupted"
    if says_more:
        say(publisher, "after")
    else:
        await lease_monitor(slow).run_once()
    await until(lambda: is_status(other, "CA1", "live"))
    await slow.close(publisher)
    events = await slow.events()
    kinds = [event["type"] for event in events]
    more = ["final"] if says_more else []
    assert kinds[2:] == ["final", "call.ended", "call.started", *more, "stream.stopped", "call.ended"]
    assert (events[3]["reason"], events[4]["resumed"], events[-1]["reason"]) == ("interrupted", True, "stop")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert await status(slow) == "ended"


async def test_an_outage_interrupts_nobody(open_server: OpenServer, redis_server: OwnRedis) -> None:
    servers = [await open_server() for _ in range(2)]
    publishers = [server.begin(f"CA{n}", f"MZ{n}") for n, server in enumerate(servers)]
    monitors = [asyncio.create_task(lease_monitor(server).run()) for server in servers]
    await until(lambda: is_status_of_all(servers))
    await redis_server.kill()
    await asyncio.sleep(2 * LEASE_S)  # what is tested is the passing of time
    await redis_server.start()
    await asyncio.sleep(3 * LEASE_S)
    for n, (server, publisher) in enumerate(zip(servers, publishers, strict=True)):
        say(publisher, "afterwards")
        await server.close(publisher)
        assert [event["type"] for event in await server.events(f"CA{n}")].count("call.ended") == 1
    for task in monitors:
        task.cancel()


async def is_status_of_all(servers: list[OutboxServer]) -> bool:
    return await servers[0].store.client.zcard(servers[0].store.keys.leases) == len(servers)


async def test_what_a_dead_server_had_not_delivered_follows_its_interruption(
    open_server: OpenServer, redis_server: OwnRedis
) -> None:
    dead = await open_server()
    publisher = dead.begin()
    say(publisher, "delivered")
    await dead.delivered()
    await redis_server.kill()
    say(publisher, "left behind")
    await asyncio.wait_for(publisher.spool.safe.wait(), 10)
    await dead.die()
    await redis_server.start()
    heir = await open_server()
    await heir.outbox.takeover.interrupt(publisher.lease)  # as a server on another machine would
    await heir.outbox.takeover.begin()
    assert await heir.outbox.takeover.settled(within_s=20)
    events = await heir.events()
    assert texts(events) == ["delivered", "left behind"]
    assert [event["type"] for event in events][3:] == ["call.ended", "call.started", "final", "call.ended"]
    assert {event["reason"] for event in events if event["type"] == "call.ended"} == {"interrupted"}
    assert await status(heir) == "interrupted"
