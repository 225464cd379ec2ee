"""A deleted call stays deleted, whatever still lies in outboxes, memories, journals and dead letters."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence

import pytest

from bench.own_redis import OwnRedis
from tests.outbox.test_audio_journal import files_in
from tests.outbox.test_outbox import texts
from tests.outbox_servers import OpenServer, OutboxServer, say
from tests.sample_events import call_ended, call_started, closed, opened, stream_started, stream_stopped, until
from transcriber.audio.chunk import AudioChunk
from transcriber.errors import CallNotFound
from transcriber.outbox.journal_recovery import JournalRecovery
from transcriber.outbox.lease_monitor import LeaseMonitor
from transcriber.outbox.set_aside_audio import SetAsideAudio
from transcriber.outbox.stream_publisher import StreamPublisher
from transcriber.outbox.stream_writes import StreamOpened, line
from transcriber.recognition.results import FinalResult
from transcriber.store.ports import CallQuery
from transcriber.store.redis_store import RedisStore
from transcriber.store.search.query import parse_query
from transcriber.webhooks.dead_letters import DeadLetter, DeadLetters
from transcriber.webhooks.queue import WebhookQueue

AT = "2026-11-23T05:20:00.123Z"


def ago(seconds: float) -> int:
    return int((time.time() - seconds) * 1000)


async def written(server: OutboxServer, publisher: StreamPublisher, *words: str) -> None:
    say(publisher, *words)
    await server.delivered()


async def assert_gone(server: OutboxServer, call_sid: str = "CA1") -> None:
    """Nothing in Redis names the call but what remembers that it was deleted."""
    with pytest.raises(CallNotFound):
        await server.events(call_sid)
    store = server.store
    assert (await store.history.calls(CallQuery())).calls == []
    names = [key async for key in store.client.scan_iter(match=f"*{call_sid}*")]
    assert names == [store.keys.deleted(call_sid)]
    for key in [key async for key in store.client.scan_iter(match="*", count=1000)]:
        if await store.client.type(key) == "zset":
            members = await store.client.zrange(key, 0, -1)
            assert not [member for member in members if call_sid in member], key


@pytest.mark.parametrize("known", [True, False])
async def test_what_a_dead_server_left_of_a_deleted_call_never_comes_back(
    open_server: OpenServer, redis_server: OwnRedis, *, known: bool
) -> None:
    dead, other = await open_server(), await open_server()
    mine = other.begin("CA1", "MZ2", at_ms=ago(60))
    await written(other, mine, "of another server")
    left = None
    if known:
        left = dead.begin("CA1", "MZ1", at_ms=ago(30))
        await written(dead, left, "delivered")
    await redis_server.kill()
    left = left or dead.begin("CA1", "MZ1", at_ms=ago(30))
    say(left, "left behind")
    await asyncio.wait_for(left.spool.safe.wait(), 10)
    await dead.die()
    await redis_server.start()
    await other.close(mine)
    await other.delivered()
    await other.outbox.takeover.interrupt(left.lease)
    await other.store.history.delete("CA1")
    heir = await open_server()
    await heir.outbox.takeover.begin()
    assert await heir.outbox.takeover.settled(within_s=20)
    await assert_gone(heir)
    assert not dead.directory.path.exists()


async def test_a_slow_server_learns_that_its_call_was_deleted(open_server: OpenServer) -> None:
    slow, other = await open_server(), await open_server()
    refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    publisher = slow.outbox.open_stream(
        call_started("CA1"), stream_started("CA1"), at_ms=ago(30), on_refused=refused.set_result
    )
    await written(slow, publisher, "before the deletion")
    await other.outbox.takeover.interrupt(publisher.lease)
    await other.store.history.delete("CA1")
    slow.store.index_writer.add("CA1", "late words")  # the second half of a write that stalled
    await slow.store.index_writer.flush()
    say(publisher, "after it")
    assert await asyncio.wait_for(refused, 10) == "deleted"
    await publisher.close(stream_stopped("CA1"), call_ended("CA1"))
    await assert_gone(slow)
    assert slow.directory.spool_paths() == []


async def test_an_idle_stream_of_a_deleted_call_is_found_by_its_lease(open_server: OpenServer) -> None:
    slow, other = await open_server(), await open_server()
    publisher = slow.begin(at_ms=ago(30))
    await written(slow, publisher, "before")
    await other.outbox.takeover.interrupt(publisher.lease)
    await other.store.history.delete("CA1")
    await LeaseMonitor(slow.outbox, slow.store.event_log, slow.store.lease_audit).run_once()
    await asyncio.wait_for(publisher.task, 10)
    await assert_gone(slow)


async def test_a_stream_after_the_deletion_begins_a_new_history_whose_numbers_go_on(open_server: OpenServer) -> None:
    server = await open_server()
    first = server.begin(at_ms=ago(30))
    await written(server, first, "before")
    await server.close(first)
    await server.delivered()
    last = (await server.events())[-1]["seq"]
    await server.store.history.delete("CA1")
    await asyncio.sleep(0.002)  # Redis's clock has milliseconds
    began_ms = ago(0)
    second = server.begin(at_ms=began_ms)  # by the same sid: nothing forbids it
    await written(server, second, "afterwards")
    await server.close(second)
    await server.delivered()
    events = await server.events()
    assert texts(events) == ["afterwards"]
    assert [event["seq"] for event in events] == list(range(last + 1, last + 6))
    assert (events[0]["type"], events[0]["resumed"]) == ("call.started", True)
    assert (await server.store.history.call("CA1"))["started_at_ms"] == began_ms
    assert len((await server.store.history.calls(CallQuery(terms=parse_query("afterwards")))).calls) == 1
    await server.store.history.delete("CA1")
    await assert_gone(server)


async def test_audio_of_a_deleted_call_is_neither_transcribed_again_nor_kept(open_server: OpenServer) -> None:
    dead, other = await open_server(), await open_server()
    at_ms = ago(30)
    publisher = dead.begin(at_ms=at_ms)
    await written(dead, publisher, "said")
    opening = StreamOpened(call=call_started("CA1"), stream=stream_started("CA1"), at_ms=at_ms)
    dead.directory.journal_path("MZ1").write_bytes(line(opening))
    await dead.die()
    await other.outbox.takeover.interrupt(publisher.lease)
    await other.store.history.delete("CA1")
    heir = await open_server()
    heir.outbox.takeover.recovery.set_result(JournalRecovery(heir.store.history, never))
    await heir.outbox.takeover.begin()
    assert await heir.outbox.takeover.settled(within_s=20)
    await until(lambda: asyncio.sleep(0, not dead.directory.path.exists()))
    await assert_gone(heir)


async def never(
    _parameters: Mapping[str, str], _audio: Mapping[str, Sequence[AudioChunk]]
) -> list[tuple[str, FinalResult]]:
    raise AssertionError("audio of a deleted call was heard")


async def test_audio_that_was_set_aside_goes_with_its_call_or_with_its_age(open_server: OpenServer) -> None:
    server = await open_server()
    root = server.directory.path.parent
    for call_sid in ("CA1", "CA2", "CA3"):
        publisher = server.begin(call_sid, f"MZ{call_sid}", at_ms=ago(30))
        await written(server, publisher, "said")
        await server.close(publisher)
        opening = StreamOpened(call=call_started(call_sid), stream=stream_started(call_sid), at_ms=ago(30))
        (root / f"gone-{call_sid}.mulaw.tried").write_bytes(line(opening) + b"audio")
    long_ago = time.time() - 91 * 86_400
    os.utime(root / "gone-CA3.mulaw.tried", (long_ago, long_ago))
    await server.delivered()
    await server.store.history.delete("CA1")
    await SetAsideAudio(root, server.store.deletions).remove_due()
    assert files_in(root) == ["gone-CA2.mulaw.tried"]


async def test_what_was_left_for_too_long_is_not_delivered_any_more(
    open_server: OpenServer, redis_server: OwnRedis
) -> None:
    """The deletion of its call would be forgotten by then."""
    dead = await open_server()
    await redis_server.kill()
    publisher = dead.begin(at_ms=ago(30))
    say(publisher, "left behind", "and this")
    await asyncio.wait_for(publisher.spool.safe.wait(), 10)
    [file] = dead.directory.spool_paths()
    await dead.die()
    long_ago = time.time() - 91 * 86_400
    os.utime(file, (long_ago, long_ago))
    await redis_server.start()
    heir = await open_server()
    await heir.outbox.takeover.begin()
    assert await heir.outbox.takeover.settled(within_s=20)
    with pytest.raises(CallNotFound):
        await heir.events()
    assert not dead.directory.path.exists()
    assert heir.metrics.registry.get_sample_value("transcriber_events_lost_total") == 2


async def test_dead_letters_go_with_the_call(store: RedisStore) -> None:
    for call_sid in ("CA1", "CA2"):
        await opened(store, call_sid, at_ms=ago(30))
        await closed(store, call_sid, number=1)
    letters = {}
    for name in ("crm", "other"):
        await WebhookQueue(store.client, store.keys, name=name, consumer="one", lease_s=30).register(born_ms=0)
        letters[name] = DeadLetters(store.client, store.keys, name=name, ttl_s=0)
        for call_sid in ("CA1", "CA2", "CA10"):
            await letters[name].add(DeadLetter(call_sid, 3, "500", 20, AT))
    await store.history.delete("CA1")
    for name in ("crm", "other"):
        assert [letter.call_sid for letter in await letters[name].all()] == ["CA10", "CA2"]
    await letters["crm"].add(DeadLetter("CA1", 4, "500", 20, AT))  # a sender that still had it in hand
    assert [letter.call_sid for letter in await letters["crm"].all()] == ["CA10", "CA2"]


async def test_dead_letters_of_a_webhook_that_an_older_version_registered_go_too(store: RedisStore) -> None:
    await opened(store, "CA1", at_ms=ago(30))
    await closed(store, "CA1", number=1)
    await store.client.hset(f"{store.keys.prefix}:webhook:old:dead", "CA1:3", "{}")
    await store.history.delete("CA1")
    assert await store.client.exists(f"{store.keys.prefix}:webhook:old:dead") == 0


async def test_dead_letters_have_an_age_limit_though_history_has_none(store: RedisStore) -> None:
    letters = DeadLetters(store.client, store.keys, name="crm", ttl_s=0)
    for days in (1, 89, 91, 400):
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - days * 86_400))
        await letters.add(DeadLetter("CA1", days, "500", 20, at))
    assert await letters.forget_old(now_s=time.time()) == 2
    assert [letter.seq for letter in await letters.all()] == [1, 89]
    assert await store.client.ttl(f"{store.keys.webhook('crm')}:dead") > 0


async def test_what_remembers_a_deletion_holds_no_word_and_does_not_stay_for_ever(open_server: OpenServer) -> None:
    server = await open_server()
    publisher = server.begin(at_ms=ago(30))
    await written(server, publisher, "a word of the call")
    await server.close(publisher)
    await server.delivered()
    await server.store.history.delete("CA1")
    key = server.store.keys.deleted("CA1")
    kept = await server.store.client.hgetall(key)
    assert sorted(kept) == ["at_ms", "began:MZ1", "seq"]
    assert 90 * 86_400 < await server.store.client.ttl(key) <= 92 * 86_400


async def test_a_server_whose_streams_ended_before_those_of_others_keeps_nothing_of_the_call(
    open_server: OpenServer,
) -> None:
    one, other = await open_server(), await open_server()
    streams = [(one, one.begin("CA1", "MZ1", at_ms=ago(90_000))), (other, other.begin("CA1", "MZ2", at_ms=ago(60)))]
    for server, publisher in streams:
        await written(server, publisher, "refund please")
    for server, publisher in streams:  # the other one's is the last
        await server.close(publisher)
        await server.delivered()
    await other.store.history.delete("CA1")
    await asyncio.sleep(0.002)  # Redis's clock has milliseconds
    again = one.begin("CA1", "MZ3", at_ms=ago(0))
    await written(one, again, "refund once more")
    found = await one.store.history.calls(CallQuery(terms=parse_query("refund more")))
    assert [call["call_sid"] for call in found.calls] == ["CA1"]
    await one.close(again)
    await one.delivered()
    await one.store.history.delete("CA1")
    await assert_gone(one)


async def test_a_stream_that_ended_takes_no_word_of_the_calls_other_streams_out_of_the_index(
    open_server: OpenServer,
) -> None:
    server = await open_server()
    first, second = server.begin("CA1", "MZ1"), server.begin("CA1", "MZ2")
    await written(server, first, "refund please")
    await server.close(first)
    await written(server, second, "please", "wait here")
    for q in ("refund please", '"wait here"', "refund wait"):
        assert [
            call["call_sid"] for call in (await server.store.history.calls(CallQuery(terms=parse_query(q)))).calls
        ] == ["CA1"]
