"""Numbering, keeping and publishing on a real Redis."""

import asyncio
import json
import os
import signal
from typing import Any

import pytest

from tests.sample_events import (
    STARTED_MS,
    append,
    closed,
    dtmf,
    final,
    opened,
    partial,
    received,
    subscribed,
    until,
)
from transcriber.errors import StoreError
from transcriber.store.call_list import MAX_CALL_S
from transcriber.store.redis_store import RedisStore, open_store

CALL = "CA1"


async def kept(store: RedisStore, call_sid: str = CALL) -> list[dict[str, Any]]:
    return [json.loads(text) for text in await store.history.events(call_sid)]


async def types(store: RedisStore) -> list[str]:
    return [event["type"] for event in await kept(store)]


async def test_an_event_is_kept_as_one_json_object_with_its_number(store: RedisStore) -> None:
    await opened(store, CALL)
    await append(store, 1, final(CALL, "zahl fünf 다섯"))
    rows: Any = await store.client.xrange(store.keys.events(CALL), min="3", max="3")
    [(entry_id, fields)] = rows
    assert entry_id == "3-0"
    assert set(fields) == {"event"}
    event = json.loads(fields["event"])
    assert list(event)[:4] == ["v", "type", "seq", "call_sid"]
    assert (event["seq"], event["text"]) == (3, "zahl fünf 다섯")


async def test_numbers_have_no_holes_with_many_writers_on_two_streams(store: RedisStore, redis_url: str) -> None:
    async with await open_store(redis_url, prefix=store.keys.prefix, ttl_s=3600) as other:
        servers = {"MZ1": store, "MZ2": other}
        for sid, server in servers.items():
            await asyncio.gather(*(opened(server, CALL, f"{sid}-{writer}") for writer in range(10)))
        writes = [
            append(server, number, final(CALL, f"{sid} {writer} {number}"), stream_sid=f"{sid}-{writer}")
            for number in range(1, 11)
            for writer in range(10)
            for sid, server in servers.items()
        ]
        async with subscribed(store, f"{store.keys.prefix}:*:final") as channel:
            # Each writer writes in order, all writers at once.
            for start in range(0, len(writes), 20):
                await asyncio.gather(*writes[start : start + 20])
            published = [data for _, data in await received(channel, 200)]
    events = await store.history.events(CALL)
    assert [json.loads(text)["seq"] for text in events] == list(range(1, 222))
    assert published == [text for text in events if json.loads(text)["type"] == "final"]


async def test_published_is_what_was_kept_in_the_same_order(store: RedisStore) -> None:
    async with subscribed(store, f"{store.keys.prefix}:{CALL}:*") as channel:
        await opened(store, CALL)
        await append(store, 1, final(CALL))
        await append(store, 2, dtmf(CALL))
        await closed(store, CALL, number=3)
        messages = await received(channel, 6)
    assert [data for _, data in messages] == list(await store.history.events(CALL))
    kinds = [name.rpartition(":")[2] for name, _ in messages]
    assert kinds == ["event", "event", "final", "event", "event", "event"]


async def test_a_repeated_write_is_recognised(store: RedisStore) -> None:
    assert await opened(store, CALL) == await opened(store, CALL) == 0
    async with subscribed(store, f"{store.keys.prefix}:*") as channel:
        for _ in range(3):
            await append(store, 1, final(CALL))
        assert [await closed(store, CALL, number=2) for _ in range(3)] == [True, True, True]
        assert len(await received(channel, 3)) == 3
        assert await channel.get_message(timeout=0.05) is None
    assert await types(store) == ["call.started", "stream.started", "final", "stream.stopped", "call.ended"]
    summary = await store.history.call(CALL)
    assert (summary["finals"], summary["streams"], summary["errors"]) == (1, 1, 3)


async def test_a_repeated_close_answers_as_the_first_did(store: RedisStore) -> None:
    await opened(store, CALL, "MZ1")
    await opened(store, CALL, "MZ2")
    assert await closed(store, CALL, "MZ1") is False
    assert await closed(store, CALL, "MZ2") is True
    assert await closed(store, CALL, "MZ1") is False
    assert await closed(store, CALL, "MZ2") is True


async def test_the_call_starts_with_its_first_stream_and_ends_with_its_last(store: RedisStore) -> None:
    await opened(store, CALL, "MZ1")
    await opened(store, CALL, "MZ2", at_ms=STARTED_MS + 700)
    await closed(store, CALL, "MZ1")
    assert (await store.history.call(CALL))["status"] == "live"
    await closed(store, CALL, "MZ2")
    assert await types(store) == [
        "call.started",
        "stream.started",
        "stream.started",
        "stream.stopped",
        "stream.stopped",
        "call.ended",
    ]
    events = await kept(store)
    assert events[0]["resumed"] is False
    assert [event["start_ms"] for event in events[1:3]] == [0, 700]


async def test_a_stream_after_the_end_resumes_the_call(store: RedisStore) -> None:
    await opened(store, CALL, "MZ1")
    await closed(store, CALL, "MZ1")
    offset_ms = await opened(store, CALL, "MZ2", at_ms=STARTED_MS + 60_000)
    assert offset_ms == 60_000
    events = await kept(store)
    assert [event["type"] for event in events[4:]] == ["call.started", "stream.started"]
    assert events[4]["resumed"] is True
    summary = await store.history.call(CALL)
    assert (summary["status"], summary["ended_at"], summary["end_reason"]) == ("live", None, None)


async def test_a_stream_that_began_before_the_first_known_one_lies_at_zero(store: RedisStore) -> None:
    await opened(store, CALL, "MZ1")
    assert await opened(store, CALL, "MZ2", at_ms=STARTED_MS - 300) == 0


async def test_streams_opened_at_once_start_the_call_once(store: RedisStore) -> None:
    await asyncio.gather(*(opened(store, CALL, f"MZ{n}", at_ms=STARTED_MS + n) for n in range(20)))
    found = await types(store)
    assert found[0] == "call.started"
    assert found[1:] == ["stream.started"] * 20


async def test_a_partial_is_published_and_not_kept(store: RedisStore) -> None:
    await opened(store, CALL)
    async with subscribed(store, f"{store.keys.prefix}:*:partial") as channel:
        await store.event_log.publish(partial(CALL, "so far"))
        [(name, data)] = await received(channel, 1)
    assert name == f"{store.keys.prefix}:{CALL}:partial"
    assert json.loads(data)["text"] == "so far"
    assert "partial" not in await types(store)


async def test_every_final_of_every_call_by_one_pattern(store: RedisStore) -> None:
    async with subscribed(store, f"{store.keys.prefix}:*:final") as channel:
        for call_sid in ("CA1", "CA2"):
            await opened(store, call_sid)
            await store.event_log.publish(partial(call_sid))
            await append(store, 1, final(call_sid))
        messages = await received(channel, 2)
        assert [name for name, _ in messages] == [store.keys.channel(sid, "final") for sid in ("CA1", "CA2")]
        assert await channel.get_message(timeout=0.05) is None


async def test_calls_expire_after_the_ttl_and_live_ones_not_sooner_than_a_day(store: RedisStore) -> None:
    await opened(store, CALL)
    both = (store.keys.events(CALL), store.keys.call(CALL))
    for key in both:
        assert MAX_CALL_S - 5 <= await store.client.ttl(key) <= MAX_CALL_S
    await closed(store, CALL)
    for key in both:
        assert 3595 <= await store.client.ttl(key) <= 3600


async def test_a_ttl_of_zero_keeps_for_ever(store: RedisStore, redis_url: str) -> None:
    async with await open_store(redis_url, prefix=store.keys.prefix, ttl_s=0) as lasting:
        await opened(lasting, CALL)
        await closed(lasting, CALL)
        assert [await store.client.ttl(key) for key in (store.keys.events(CALL), store.keys.call(CALL))] == [-1, -1]


async def test_calls_long_expired_leave_the_list(store: RedisStore) -> None:
    await store.client.zadd(store.keys.calls, {"CAold": 1.0})
    await opened(store, CALL)
    assert await store.client.zrange(store.keys.calls, 0, -1) == [CALL]


async def test_all_names_begin_with_the_prefix(store: RedisStore) -> None:
    await opened(store, CALL)
    await closed(store, CALL)
    await store.tickets.issue(CALL)
    names = {key async for key in store.client.scan_iter(match=f"*{CALL}*")}
    assert {store.keys.events(CALL), store.keys.call(CALL)} <= names
    prefix = store.keys.prefix
    ours = {key async for key in store.client.scan_iter(match=f"{prefix}*")}
    assert len(ours) == 4
    assert all(key.startswith(f"{prefix}:") for key in ours)


async def test_the_script_is_loaded_again_after_redis_forgot_it(store: RedisStore) -> None:
    await opened(store, CALL)
    await store.client.script_flush()
    await append(store, 1, final(CALL))
    assert (await types(store))[-1] == "final"


async def test_a_failure_of_redis_is_a_store_error(store: RedisStore) -> None:
    await store.client.set(store.keys.call(CALL), "not a hash")
    with pytest.raises(StoreError, match=r"cannot open the stream: .*WRONGTYPE"):
        await opened(store, CALL)
    with pytest.raises(StoreError, match="cannot write an event"):
        await append(store, 1, final(CALL))
    with pytest.raises(StoreError, match="cannot close the stream"):
        await closed(store, CALL, number=1)


async def test_a_write_that_took_too_long_and_happened_is_not_repeated(store: RedisStore, redis_url: str) -> None:
    await opened(store, CALL)
    async with await open_store(f"{redis_url}?socket_timeout=1", prefix=store.keys.prefix, ttl_s=3600) as hasty:
        await hasty.ping()
        info = await store.client.info("server")
        os.kill(info["process_id"], signal.SIGSTOP)
        try:
            with pytest.raises(StoreError, match="cannot write an event"):
                await append(hasty, 1, final(CALL))
        finally:
            os.kill(info["process_id"], signal.SIGCONT)
        await until(lambda: written(store, 3))
        assert (await types(store)).count("final") == 1  # it happened, though nobody was told
        await append(hasty, 1, final(CALL))
    assert (await types(store)).count("final") == 1


async def written(store: RedisStore, seq: int) -> bool:
    return await store.client.exists(store.keys.events(CALL)) == 1 and len(await kept(store)) >= seq
