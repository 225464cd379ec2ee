"""Whose calls are alive: those of dead servers end as interrupted, once; those of the living do not, or go on."""

import asyncio
from typing import Any

import pytest

from bench.own_redis import OwnRedis
from tests.outbox.test_outbox import texts
from tests.outbox_servers import OpenPost, Post, say
from tests.sample_events import until
from transcriber.outbox.lease_monitor import LeaseMonitor
from transcriber.store.leases import Lease

LEASE_S = 1.0


@pytest.fixture(autouse=True)
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of a fraction of a second, and a monitor that looks often."""
    for module in ("store.leases", "outbox.lease_monitor"):
        monkeypatch.setattr(f"transcriber.{module}.LEASE_S", LEASE_S)
    monkeypatch.setattr("transcriber.outbox.lease_monitor.RENEW_S", LEASE_S / 10)


def lease_monitor(post: Post) -> LeaseMonitor:
    return LeaseMonitor(post.outbox, post.store.event_log)


async def status(post: Post, call_sid: str = "CA1") -> Any:
    return (await post.store.history.call(call_sid))["status"]


async def test_a_surviving_server_ends_the_calls_of_a_dead_one(open_post: OpenPost) -> None:
    dead, survivor = await open_post(), await open_post()
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


async def test_a_dead_servers_call_whose_lease_was_lost_is_found(
    open_post: OpenPost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transcriber.outbox.lease_monitor.AUDIT_S", 0)
    dead, survivor = await open_post(), await open_post()
    say(dead.begin(), "said")
    await dead.delivered()
    await dead.die()
    await survivor.store.client.delete(survivor.store.keys.leases)
    keeping = asyncio.create_task(lease_monitor(survivor).run())
    await until(lambda: is_status(survivor, "CA1", "interrupted"))
    keeping.cancel()


async def is_status(post: Post, call_sid: str, expected: str) -> bool:
    return bool(await status(post, call_sid) == expected)


async def test_many_that_end_it_at_once_end_it_once(open_post: OpenPost) -> None:
    dead = await open_post()
    say(dead.begin(), "said")
    await dead.delivered()
    await dead.die()
    survivors = [await open_post() for _ in range(3)]
    lease = Lease(dead.folder.owner, "CA1", "MZ1")
    await asyncio.gather(*(post.outbox.takeover.interrupt(lease) for post in survivors for _ in range(5)))
    assert [event["type"] for event in await survivors[0].events()].count("call.ended") == 1
    ended = [post.metrics.registry.get_sample_value("transcriber_streams_interrupted_total") for post in survivors]
    assert sum(filter(None, ended)) == 1


async def test_a_call_goes_on_while_one_of_its_servers_lives(open_post: OpenPost) -> None:
    dead, living = await open_post(), await open_post()
    say(dead.begin("CA1", "MZ1"), "one")
    mine = living.begin("CA1", "MZ2")
    say(mine, "two")
    await dead.delivered()
    await living.delivered()
    await living.outbox.takeover.interrupt(Lease(dead.folder.owner, "CA1", "MZ1"))
    assert await status(living) == "live"
    await living.close(mine)
    assert [event["type"] for event in await living.events()][-2:] == ["stream.stopped", "call.ended"]
    assert await status(living) == "ended"


@pytest.mark.parametrize("says_more", [True, False])
async def test_a_server_that_was_only_slow_resumes_its_calls(open_post: OpenPost, *, says_more: bool) -> None:
    slow, other = await open_post(), await open_post()
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


async def test_an_outage_interrupts_nobody(open_post: OpenPost, trouble: OwnRedis) -> None:
    posts = [await open_post() for _ in range(2)]
    publishers = [post.begin(f"CA{n}", f"MZ{n}") for n, post in enumerate(posts)]
    monitors = [asyncio.create_task(lease_monitor(post).run()) for post in posts]
    await until(lambda: is_status_of_all(posts))
    await trouble.kill()
    await asyncio.sleep(2 * LEASE_S)  # what is tested is the passing of time
    await trouble.start()
    await asyncio.sleep(3 * LEASE_S)
    for n, (post, publisher) in enumerate(zip(posts, publishers, strict=True)):
        say(publisher, "afterwards")
        await post.close(publisher)
        assert [event["type"] for event in await post.events(f"CA{n}")].count("call.ended") == 1
    for task in monitors:
        task.cancel()


async def is_status_of_all(posts: list[Post]) -> bool:
    return await posts[0].store.client.zcard(posts[0].store.keys.leases) == len(posts)


async def test_what_a_dead_server_had_not_delivered_follows_its_interruption(
    open_post: OpenPost, trouble: OwnRedis
) -> None:
    dead = await open_post()
    publisher = dead.begin()
    say(publisher, "delivered")
    await dead.delivered()
    await trouble.kill()
    say(publisher, "left behind")
    await asyncio.wait_for(publisher.spool.safe.wait(), 10)
    await dead.die()
    await trouble.start()
    heir = await open_post()
    await heir.outbox.takeover.interrupt(publisher.lease)  # as a server on another machine would
    await heir.outbox.takeover.begin()
    assert await heir.outbox.takeover.settled(within_s=20)
    events = await heir.events()
    assert texts(events) == ["delivered", "left behind"]
    assert [event["type"] for event in events][3:] == ["call.ended", "call.started", "final", "call.ended"]
    assert {event["reason"] for event in events if event["type"] == "call.ended"} == {"interrupted"}
    assert await status(heir) == "interrupted"
