"""Whose a stream is: one sid on two servers. The one that lives is left alone, no word that was heard is dropped."""

import asyncio
import json
from typing import Any

import pytest

from bench.own_redis import OwnRedis
from tests.outbox.test_audio_journal import more_words
from tests.outbox.test_outbox import texts, without_holes
from tests.outbox_servers import OpenServer, OutboxServer, say
from tests.sample_events import STARTED_MS, append, call_started, final, opened, stream_started, until
from transcriber.errors import StreamTaken
from transcriber.outbox.journal_recovery import JournalRecovery
from transcriber.outbox.stream_publisher import StreamPublisher
from transcriber.outbox.stream_writes import StreamOpened, line
from transcriber.store.redis_store import open_store


def outcomes(server: OutboxServer) -> dict[str, float]:
    """The counter of duplicates, by outcome."""
    return {
        sample.labels["outcome"]: sample.value
        for metric in server.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "transcriber_duplicate_streams_total"
    }


def by_stream(events: list[dict[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for event in events:
        if event["type"] == "final":
            found.setdefault(event["stream_sid"], []).append(event["text"])
    return found


async def begun(server: OutboxServer, publisher: StreamPublisher, *words: str) -> None:
    say(publisher, *words)
    await server.delivered()


async def test_a_second_stream_of_a_sid_that_lives_is_refused(open_server: OpenServer) -> None:
    one, other = await open_server(), await open_server()
    mine = one.begin()
    await begun(one, mine, "before")
    refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    second = other.outbox.open_stream(
        call_started("CA1"), stream_started("CA1"), at_ms=STARTED_MS + 5, on_refused=refused.set_result
    )
    assert await asyncio.wait_for(refused, 10) == "duplicate"
    say(second, "of nobody")
    await other.close(second)
    assert list(other.outbox.publishers) == []
    assert other.directory.spool_paths() == []
    await begun(one, mine, "after")
    await one.close(mine)
    events = await one.events()
    assert texts(events) == ["before", "after"]
    assert [event["type"] for event in events].count("call.ended") == 1
    assert await one.store.client.zcard(one.store.keys.leases) == 0
    assert outcomes(other) == {"refused": 1}


async def test_writes_of_a_stream_that_has_become_anothers_are_refused(open_server: OpenServer) -> None:
    slow, other = await open_server(), await open_server()
    publisher = slow.begin()
    await begun(slow, publisher, "one", "two", "three")
    await other.outbox.takeover.interrupt(publisher.lease)
    theirs = other.begin(at_ms=STARTED_MS + 5)
    await begun(other, theirs, "new")
    for number in (1, 2, 4):
        with pytest.raises(StreamTaken):
            await append(slow.store, number, final("CA1", "late"))
    await other.close(theirs)
    with pytest.raises(StreamTaken):
        await append(slow.store, 1, final("CA1", "late"))


async def test_a_server_that_was_slow_goes_on_by_another_name(open_server: OpenServer) -> None:
    slow, other = await open_server(), await open_server()
    publisher = slow.begin()
    await begun(slow, publisher, "before")
    await other.outbox.takeover.interrupt(publisher.lease)
    theirs = other.begin(at_ms=STARTED_MS + 5)
    await begun(other, theirs, "of the other")
    await begun(slow, publisher, "late", "later")
    await slow.close(publisher)
    await other.close(theirs)
    events = await slow.events()
    name = f"MZ1.{slow.directory.owner}"
    assert by_stream(events) == {"MZ1": ["before", "of the other"], name: ["late", "later"]}
    assert [event["code"] for event in events if event["type"] == "stream.error"] == ["duplicate_stream"]
    assert [event["stream_sid"] for event in events if event["type"] == "stream.stopped"] == [name, "MZ1"]
    assert without_holes(events)
    assert outcomes(slow) == {"renamed": 1}
    assert await slow.store.client.zcard(slow.store.keys.leases) == 0
    assert await slow.store.client.zcard(slow.store.keys.live) == 0


async def test_streams_of_one_sid_that_began_while_redis_was_away_are_both_kept(
    open_server: OpenServer, redis_server: OwnRedis
) -> None:
    servers = [await open_server(), await open_server()]
    refused: list[str] = []
    await redis_server.kill()
    publishers = [
        server.outbox.open_stream(
            call_started("CA1"), stream_started("CA1"), at_ms=STARTED_MS, on_refused=refused.append
        )
        for server in servers
    ]
    for server, publisher in zip(servers, publishers, strict=True):
        say(publisher, f"of {server.directory.owner}")
        await asyncio.wait_for(publisher.spool.safe.wait(), 10)
    await redis_server.start()
    for server, publisher in zip(servers, publishers, strict=True):
        await begun(server, publisher, f"also of {server.directory.owner}")
        await server.close(publisher)
        await publisher.task
    events = await servers[0].events()
    for server in servers:
        words = [f"of {server.directory.owner}", f"also of {server.directory.owner}"]
        assert words in by_stream(events).values()
    assert len(by_stream(events)) == 2
    assert without_holes(events)
    assert refused == []
    assert sorted(str(outcomes(server)) for server in servers) == ["{'renamed': 1.0}", "{}"]


async def test_what_a_dead_server_left_of_a_sid_that_lives_elsewhere_is_kept(
    open_server: OpenServer, redis_server: OwnRedis
) -> None:
    dead, living = await open_server(), await open_server()
    await redis_server.kill()
    left = dead.begin()
    say(left, "left behind")
    await asyncio.wait_for(left.spool.safe.wait(), 10)
    await dead.die()
    await redis_server.start()
    mine = living.begin(at_ms=STARTED_MS + 5)
    await begun(living, mine, "of the living")
    heir = await open_server()
    await heir.outbox.takeover.begin()
    assert await heir.outbox.takeover.settled(within_s=20)
    await begun(living, mine, "afterwards")
    events = await living.events()
    assert by_stream(events) == {"MZ1": ["of the living", "afterwards"], f"MZ1.{dead.directory.owner}": ["left behind"]}
    assert (await living.store.history.call("CA1"))["status"] == "live"
    assert not dead.directory.path.exists()
    await living.close(mine)
    assert (await living.store.history.call("CA1"))["status"] == "ended"


async def test_audio_of_a_dead_server_is_transcribed_again_beside_the_stream_of_its_sid(
    open_server: OpenServer,
) -> None:
    dead, living = await open_server(), await open_server()
    mine = living.begin(at_ms=STARTED_MS + 5)
    await begun(living, mine, "of the living")
    opening = StreamOpened(call=call_started("CA1"), stream=stream_started("CA1"), at_ms=STARTED_MS)
    dead.directory.journal_path("MZ1").write_bytes(line(opening))
    await dead.die()
    heir = await open_server()
    heir.outbox.takeover.recovery.set_result(JournalRecovery(heir.store.history, more_words))
    await heir.outbox.takeover.begin()
    assert await heir.outbox.takeover.settled(within_s=20)
    await until(lambda: asyncio.sleep(0, not dead.directory.path.exists()))
    await begun(living, mine, "afterwards")
    await living.close(mine)
    assert by_stream(await living.events()) == {
        "MZ1": ["of the living", "afterwards"],
        f"MZ1.{dead.directory.owner}": ["more"],
    }
    assert await living.store.client.zcard(living.store.keys.leases) == 0


async def test_a_sid_that_comes_again_on_the_same_server_waits_for_its_first_end(
    open_server: OpenServer, redis_server: OwnRedis
) -> None:
    server = await open_server()
    await redis_server.kill()
    publishers = [server.begin(at_ms=STARTED_MS + number) for number in range(2)]
    for number, publisher in enumerate(publishers):
        say(publisher, f"of stream {number}")
        await asyncio.wait_for(publisher.spool.safe.wait(), 10)
    await redis_server.start()
    for publisher in publishers:
        await server.close(publisher)
    await server.delivered()
    events = await server.events()
    assert sorted(texts(events)) == ["of stream 0", "of stream 1"]
    assert [event["type"] for event in events].count("stream.stopped") == 2
    assert without_holes(events)


async def test_a_stream_of_an_older_version_goes_on(open_server: OpenServer) -> None:
    """Its hash does not say whose the stream was when it was live last."""
    slow, other = await open_server(), await open_server()
    publisher = slow.begin()
    await begun(slow, publisher, "before")
    await slow.store.client.hdel(slow.store.keys.call("CA1"), "owner:MZ1")
    with pytest.raises(StreamTaken):
        await append(other.store, 1, final("CA1", "of another"))
    await other.outbox.takeover.interrupt(publisher.lease)
    await begun(slow, publisher, "after")
    await slow.close(publisher)
    assert by_stream(await slow.events()) == {"MZ1": ["before", "after"]}


async def test_of_many_servers_that_open_a_sid_at_once_one_has_it(
    open_server: OpenServer, redis_server: OwnRedis
) -> None:
    server = await open_server()
    stores = [await open_store(redis_server.url, prefix="test", ttl_s=3600, owner=f"server{n}") for n in range(5)]
    opening = [opened(store, "CA1", at_ms=STARTED_MS + number) for number, store in enumerate(stores)]
    answers = await asyncio.gather(*opening, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["StreamTaken"] * 4 + ["int"]
    winner = next(number for number, answer in enumerate(answers) if isinstance(answer, int))
    [lease] = await server.store.client.zrange(server.store.keys.leases, 0, -1)
    assert lease == f"server{winner} CA1 MZ1"
    kinds = [json.loads(text)["type"] for text in await server.store.history.events("CA1")]
    assert kinds == ["call.started", "stream.started"]
    for store in stores:
        await store.aclose()
    await until(lambda: asyncio.sleep(0, server.outbox.waiting == 0))
