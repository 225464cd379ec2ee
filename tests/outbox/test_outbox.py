"""Redis in trouble: finals are delivered in order, once, numbered without holes, by this server or the next start."""

import asyncio
import errno
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from bench.own_redis import OwnRedis
from tests.outbox.test_audio_journal import files_in
from tests.outbox_servers import OpenServer, say
from tests.sample_events import STARTED_MS, call_started, final, stream_started, until
from transcriber.outbox import append_log
from transcriber.outbox.spool import MAX_WRITES_IN_MEMORY, StreamSpool
from transcriber.outbox.stream_writes import EventAppended, StreamOpened

WHOLE = ["call.started", "stream.started", "final", "stream.stopped", "call.ended"]


def texts(events: Sequence[dict[str, Any]]) -> list[str]:
    return [event["text"] for event in events if event["type"] == "final"]


def kinds(events: Sequence[dict[str, Any]]) -> list[str]:
    found = [event["type"] for event in events]
    return [kind for at, kind in enumerate(found) if kind != "final" or found[at - 1] != "final"]


def numbered(count: int, first: int = 0) -> list[str]:
    return [f"said {number}" for number in range(first, count)]


def without_holes(events: Sequence[dict[str, Any]]) -> bool:
    return [event["seq"] for event in events] == list(range(1, len(events) + 1))


@pytest.mark.parametrize("how", ["killed", "stalled"])
async def test_an_outage_delays_and_loses_nothing(open_server: OpenServer, redis_server: OwnRedis, how: str) -> None:
    server = await open_server()
    publisher = server.begin()
    say(publisher, *numbered(3))
    await server.delivered()
    if how == "killed":
        await redis_server.kill()
    else:
        redis_server.stall()
    say(publisher, *numbered(40, 3))
    await asyncio.wait_for(publisher.spool.safe.wait(), 10)
    [file] = server.directory.spool_paths()
    assert file.read_bytes().count(b"\n") == 38  # whose it is, and 37 finals
    say(publisher, *numbered(50, 40))
    await (redis_server.start() if how == "killed" else asyncio.to_thread(redis_server.wake))
    await server.delivered()
    say(publisher, *numbered(60, 50))
    await server.close(publisher)
    await publisher.task
    events = await server.events()
    assert texts(events) == numbered(60)
    assert kinds(events) == WHOLE
    assert without_holes(events)
    assert server.directory.spool_paths() == []


async def test_a_stream_may_begin_and_end_while_redis_is_away(open_server: OpenServer, redis_server: OwnRedis) -> None:
    server = await open_server()
    await redis_server.kill()
    for number in range(3):
        publisher = server.begin(stream_sid=f"MZ{number}", at_ms=STARTED_MS + 1000 * number)
        say(publisher, f"of stream {number}")
        await asyncio.wait_for(server.close(publisher), 5)
    samples = {sample.name: sample.value for metric in server.metrics.registry.collect() for sample in metric.samples}
    assert samples["transcriber_outbox_events"] == 6
    assert samples["transcriber_outbox_unsafe_events"] == 0
    assert samples["transcriber_outbox_age_seconds"] > 0
    await redis_server.start()
    await server.delivered()
    events = await server.events()
    assert sorted(texts(events)) == [f"of stream {number}" for number in range(3)]
    assert [event["type"] for event in events].count("stream.stopped") == 3
    assert events[-1]["type"] == "call.ended"
    assert without_holes(events)


async def test_what_waits_in_the_file_alone_is_read_back(open_server: OpenServer, redis_server: OwnRedis) -> None:
    server = await open_server()
    await redis_server.kill()
    publisher = server.begin()
    said = numbered(MAX_WRITES_IN_MEMORY + 300)
    for start in range(0, len(said), 100):
        say(publisher, *said[start : start + 100])
        await asyncio.wait_for(publisher.spool.safe.wait(), 10)
    assert publisher.spool.waiting == len(said)
    await redis_server.start()
    await server.close(publisher)
    await publisher.task
    assert texts(await server.events()) == said


async def test_the_next_start_delivers_what_a_crash_left(open_server: OpenServer, redis_server: OwnRedis) -> None:
    dead = await open_server()
    open_one, closed_one = dead.begin("CA1", "MZ1"), dead.begin("CA2", "MZ2")
    say(open_one, "before")
    say(closed_one, "before")
    await dead.delivered()
    await redis_server.kill()
    say(open_one, "during")
    say(closed_one, "during")
    await dead.close(closed_one)
    await asyncio.wait_for(open_one.spool.safe.wait(), 10)
    await dead.die()
    [torn] = [path for path in dead.directory.spool_paths() if path.name.startswith("MZ1")]
    torn.write_bytes(torn.read_bytes() + b'{"number":3,"noted_ms":1,"events":[{"type":"final"')
    await redis_server.start()
    heir = await open_server()
    await heir.outbox.takeover.begin()
    assert await heir.outbox.takeover.settled(within_s=20)
    for call_sid, reason in (("CA1", "interrupted"), ("CA2", "stop")):
        events = await heir.events(call_sid)
        assert texts(events) == ["before", "during"]
        assert (events[-1]["type"], events[-1]["reason"]) == ("call.ended", reason)
        assert without_holes(events)
    assert not dead.directory.path.exists()
    await heir.outbox.takeover.begin()  # nothing is there to be done twice
    assert (await heir.events())[-1]["seq"] == 5


async def test_what_was_delivered_before_the_crash_is_not_delivered_again(
    open_server: OpenServer, redis_server: OwnRedis
) -> None:
    dead = await open_server()
    publisher = dead.begin()
    await redis_server.kill()
    say(publisher, *numbered(5))
    await asyncio.wait_for(publisher.spool.safe.wait(), 10)
    left = dead.directory.spool_paths()[0].read_bytes()
    await redis_server.start()
    await dead.delivered()
    await dead.die()
    dead.directory.path.mkdir(exist_ok=True)
    dead.directory.spool_path("MZ1").write_bytes(left)
    heir = await open_server()
    await heir.outbox.takeover.begin()
    assert await heir.outbox.takeover.settled(within_s=20)
    assert texts(await heir.events()) == numbered(5)


async def test_a_redis_set_back_gets_again_what_it_lost(open_server: OpenServer, redis_server: OwnRedis) -> None:
    server = await open_server()
    publisher = server.begin()
    say(publisher, *numbered(5))
    await server.delivered()
    redis_server.keep_data()
    say(publisher, *numbered(15, 5))
    await server.delivered()
    await redis_server.kill()
    redis_server.set_back()
    await redis_server.start()
    assert texts(await server.events()) == numbered(5)
    say(publisher, "afterwards")
    await server.delivered()
    events = await server.events()
    assert texts(events) == [*numbered(15), "afterwards"]
    assert without_holes(events)


async def test_a_redis_emptied_goes_on_behind_the_numbers_it_gave(
    open_server: OpenServer, redis_server: OwnRedis
) -> None:
    server = await open_server()
    publisher = server.begin()
    say(publisher, *numbered(5))
    await server.delivered()
    await redis_server.kill()
    say(publisher, "while it was away")
    redis_server.empty()
    await redis_server.start()
    await server.delivered()
    await server.close(publisher)
    events = await server.events()
    assert kinds(events) == WHOLE
    assert events[0]["resumed"] is True
    assert [event["seq"] for event in events] == list(range(8, 13))
    assert texts(events) == ["while it was away"]
    assert (await server.store.history.call("CA1"))["started_at_ms"] == STARTED_MS


async def test_without_disk_events_wait_in_memory(open_server: OpenServer, redis_server: OwnRedis) -> None:
    server = await open_server()
    shutil.rmtree(server.directory.path)  # first: the file may be made as soon as Redis is gone
    publisher = server.begin()
    await redis_server.kill()
    say(publisher, *numbered(5))
    await until(lambda: asyncio.sleep(0, server.outbox.is_blocked))
    assert publisher.spool.unsafe == 5
    await redis_server.start()
    await server.delivered()
    assert texts(await server.events()) == numbered(5)
    assert not server.outbox.is_blocked


async def test_a_disk_that_fails_and_comes_back_slowly_costs_nothing(tmp_path: Path) -> None:
    full, goes_on = threading.Event(), threading.Event()

    def troubled(file: int, data: bytes, offset: int) -> None:
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        goes_on.wait(20)
        append_log.append(file, data, offset)

    goes_on.set()
    spool = StreamSpool(
        tmp_path / "MZ1.jsonl",
        StreamOpened(call=call_started("CA1"), stream=stream_started("CA1"), at_ms=1),
        append=troubled,
    )
    put(spool)
    spool.spill()
    await asyncio.wait_for(spool.safe.wait(), 20)
    full.set()
    put(spool)
    await until(lambda: asyncio.sleep(0, spool.disk_fails))
    goes_on.clear()
    full.clear()
    put(spool)
    taking = asyncio.create_task(take(spool, 4))
    await until(lambda: asyncio.sleep(0, spool.waiting < 3))
    put(spool)
    goes_on.set()
    assert await asyncio.wait_for(taking, 20) == [1, 2, 3, 4]
    assert spool.waiting == 0
    await spool.remove_if_delivered()
    assert files_in(tmp_path) == []


def put(spool: StreamSpool) -> None:
    assert spool.put(EventAppended(spool.last_number + 1, 0, final("CA1")))


async def take(spool: StreamSpool, count: int) -> list[int]:
    """The numbers of the next writes, each delivered."""
    numbers: list[int] = []
    while len(numbers) < count:
        if write := await spool.head():
            numbers.append(write.number)
            spool.mark_delivered()
        await asyncio.sleep(0)
    return numbers


@pytest.mark.parametrize("answer", ["READONLY", "OOM", "NOAUTH"])
async def test_refusals_of_redis_are_tried_again(open_server: OpenServer, redis_server: OwnRedis, answer: str) -> None:
    server = await open_server()
    publisher = server.begin()
    say(publisher, "before")
    await server.delivered()
    async with Redis.from_url(redis_server.url) as admin:
        match answer:
            case "READONLY":
                await admin.replicaof("127.0.0.1", "1")
            case "OOM":
                await admin.config_set("maxmemory", "1")
            case "NOAUTH":
                await admin.config_set("requirepass", "secret")
                await admin.client_kill_filter(_type="normal")
        say(publisher, *numbered(5))
        await until(lambda: asyncio.sleep(0, bool(publisher.failure)))
        await admin.replicaof("NO", "ONE")
        await admin.config_set("maxmemory", "0")
        await admin.config_set("requirepass", "")
        await server.delivered()
    assert texts(await server.events()) == ["before", *numbered(5)]


def test_an_unreadable_file_is_nobodys(tmp_path: Path) -> None:
    path = tmp_path / "MZ1.jsonl"
    path.write_bytes(b'{"at_ms":1,"call_ms":null,"ev')
    assert StreamSpool.load(path) is None


async def test_nothing_follows_the_end(open_server: OpenServer) -> None:
    server = await open_server()
    publisher = server.begin()
    await server.close(publisher)
    say(publisher, "too late")
    await publisher.task
    assert kinds(await server.events())[-1] == "call.ended"
    assert server.metrics.registry.get_sample_value("transcriber_events_lost_total") == 1
    assert server.outbox.waiting == 0


async def test_the_end_is_taken_whatever_the_bound(open_server: OpenServer) -> None:
    server = await open_server(max_spool_bytes=-1)
    publisher = server.begin()
    publisher.send(final("CA1"))
    await server.close(publisher)
    assert [event["type"] for event in await server.events()][-1] == "call.ended"
    assert texts(await server.events()) == []
