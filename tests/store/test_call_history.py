"""Listing, reading and deleting calls on a real Redis."""

import asyncio
import json
import time
from collections.abc import Callable

import pytest

from tests.sample_events import (
    STARTED_MS,
    append,
    call_started,
    closed,
    ended_call,
    final,
    lease_of,
    opened,
    stream_started,
)
from transcriber.errors import BadRequest, CallIsLive, CallNotFound
from transcriber.store.ports import CallPage, CallQuery
from transcriber.store.redis_store import RedisStore


def sids(page: CallPage) -> list[str]:
    return [call["call_sid"] for call in page.calls]


async def all_pages(store: RedisStore, query: Callable[[str | None], CallQuery]) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = await store.history.calls(query(cursor))
        found += sids(page)
        cursor = page.cursor
        if cursor is None:
            return found


async def test_calls_are_listed_newest_first(store: RedisStore) -> None:
    for n in range(3):
        await ended_call(store, f"CA{n}", at_ms=STARTED_MS + n)
    page = await store.history.calls(CallQuery())
    assert sids(page) == ["CA2", "CA1", "CA0"]
    assert page.cursor is None
    assert page.calls[0] == await store.history.call("CA2")


async def test_no_calls_are_an_empty_page(store: RedisStore) -> None:
    assert await store.history.calls(CallQuery()) == CallPage([], None)


async def test_pages_are_stable_while_calls_arrive(store: RedisStore) -> None:
    for n in range(10):
        await ended_call(store, f"CA{n}", at_ms=STARTED_MS + n)
    found: list[str] = []
    cursor = None
    for newer in range(4):
        page = await store.history.calls(CallQuery(limit=3, cursor=cursor))
        found += sids(page)
        cursor = page.cursor
        await ended_call(store, f"CAnew{newer}", at_ms=STARTED_MS + 100 + newer)
    assert found == [f"CA{n}" for n in reversed(range(10))]
    assert cursor is None


async def test_pages_pass_over_no_call_of_the_same_millisecond(store: RedisStore) -> None:
    names = [f"CA{n:03}" for n in range(250)]
    for name in names:
        await opened(store, name)
    found = await all_pages(store, lambda cursor: CallQuery(limit=7, cursor=cursor))
    assert found == names[::-1]


async def test_a_call_deleted_between_pages_shifts_nothing(store: RedisStore) -> None:
    for n in range(6):
        await ended_call(store, f"CA{n}", at_ms=STARTED_MS + n)
    first = await store.history.calls(CallQuery(limit=3))
    await store.history.delete("CA3")
    second = await store.history.calls(CallQuery(limit=3, cursor=first.cursor))
    assert sids(second) == ["CA2", "CA1", "CA0"]


async def test_calls_by_status(store: RedisStore) -> None:
    for n in range(120):
        await ended_call(store, f"CA{n:03}", at_ms=STARTED_MS + n)
    for n in (5, 77):
        await opened(store, f"CA{n:03}", "MZagain", at_ms=STARTED_MS + 500)
    assert sids(await store.history.calls(CallQuery(status="live"))) == ["CA077", "CA005"]
    ended = await all_pages(store, lambda cursor: CallQuery(status="ended", limit=50, cursor=cursor))
    assert len(ended) == 118


async def test_live_calls_leave_their_index_with_their_end(store: RedisStore) -> None:
    await asyncio.gather(*(opened(store, "CA1", f"MZ{n}") for n in range(10)))
    # Streams open and close at once: however they fall, the index never lacks a live call.
    await asyncio.gather(
        *(closed(store, "CA1", f"MZ{n}") for n in range(10)),
        *(opened(store, "CA1", f"MZlater{n}") for n in range(3)),
    )
    assert sids(await store.history.calls(CallQuery(status="live"))) == ["CA1"]
    for n in range(3):
        await closed(store, "CA1", f"MZlater{n}")
    assert sids(await store.history.calls(CallQuery(status="live"))) == []
    assert await store.client.exists(store.keys.live) == 0


async def test_a_stale_member_of_the_live_index_is_not_listed(store: RedisStore) -> None:
    await ended_call(store, "CA1")
    await store.client.zadd(store.keys.live, {"CA1": STARTED_MS, "CAgone": STARTED_MS})
    assert sids(await store.history.calls(CallQuery(status="live"))) == []
    assert await store.client.zrange(store.keys.live, 0, -1) == ["CA1"]


async def test_calls_by_time_include_both_ends(store: RedisStore) -> None:
    for n in range(6):
        await ended_call(store, f"CA{n}", at_ms=STARTED_MS + n)
    query = CallQuery(since_ms=STARTED_MS + 1, until_ms=STARTED_MS + 4)
    assert sids(await store.history.calls(query)) == ["CA4", "CA3", "CA2", "CA1"]
    paged = await all_pages(
        store,
        lambda cursor: CallQuery(since_ms=STARTED_MS + 1, until_ms=STARTED_MS + 4, limit=1, cursor=cursor),
    )
    assert paged == ["CA4", "CA3", "CA2", "CA1"]


async def test_an_expired_call_leaves_the_list(store: RedisStore) -> None:
    for n in range(3):
        await ended_call(store, f"CA{n}", at_ms=STARTED_MS + n)
    await store.client.delete(store.keys.call("CA1"))
    assert sids(await store.history.calls(CallQuery())) == ["CA2", "CA0"]
    assert await store.client.zrange(store.keys.calls, 0, -1) == ["CA0", "CA2"]


@pytest.mark.parametrize("cursor", ["", "!", "äöü", "bm8gY29sb24=", "MTIzOg==", "bm90OmE=", "A"])
async def test_a_malformed_cursor_is_a_bad_request(store: RedisStore, cursor: str) -> None:
    with pytest.raises(BadRequest, match="cursor"):
        await store.history.calls(CallQuery(cursor=cursor))


async def test_events_after_a_number(store: RedisStore) -> None:
    await opened(store, "CA1")
    for number in range(1, 6):
        await append(store, number, final("CA1", f"number {number}"))
    after = [json.loads(text) for text in await store.history.events("CA1", after=4)]
    assert [(event["seq"], event["text"]) for event in after] == [(5, "number 3"), (6, "number 4"), (7, "number 5")]
    assert await store.history.events("CA1", after=7) == []
    assert len(await store.history.events("CA1", after=-1)) == 7


async def test_events_beyond_one_batch(store: RedisStore) -> None:
    for seq in range(1, 2501):
        await store.client.xadd(store.keys.events("CA1"), {"event": str(seq)}, id=f"{seq}-0")
    assert await store.history.events("CA1") == [str(seq) for seq in range(1, 2501)]


async def test_an_absent_call_is_not_found(store: RedisStore) -> None:
    with pytest.raises(CallNotFound, match="CA9"):
        await store.history.call("CA9")
    with pytest.raises(CallNotFound):
        await store.history.events("CA9")
    with pytest.raises(CallNotFound):
        await store.history.delete("CA9")


async def test_a_deleted_call_leaves_only_that_it_was_deleted(store: RedisStore) -> None:
    await ended_call(store, "CA1")
    await store.history.delete("CA1")
    left = [key async for key in store.client.scan_iter(match=f"{store.keys.prefix}*")]
    assert left == [store.keys.deleted("CA1")]
    with pytest.raises(CallNotFound):
        await store.history.delete("CA1")


async def test_a_live_call_is_not_deleted(store: RedisStore) -> None:
    await opened(store, "CA1")
    with pytest.raises(CallIsLive, match="CA1"):
        await store.history.delete("CA1")
    assert (await store.history.call("CA1"))["status"] == "live"
    await closed(store, "CA1")
    await store.history.delete("CA1")


FORTY_DAYS_MS = 40 * 86_400_000


async def test_a_server_whose_clock_jumped_unlists_nobody(store: RedisStore) -> None:
    now_ms = time.time_ns() // 1_000_000
    for number in range(30):
        await ended_call(store, f"CA{number:02}", at_ms=now_ms - 60_000 + number)
    await opened(store, "CAahead", at_ms=now_ms + FORTY_DAYS_MS)
    await opened(store, "CAbehind", at_ms=now_ms - FORTY_DAYS_MS)
    await opened(store, "CAlater", at_ms=now_ms)
    page = await store.history.calls(CallQuery(limit=100))
    assert len(page.calls) == 33
    ahead = await store.history.call("CAahead")
    assert now_ms <= ahead["started_at_ms"] <= time.time_ns() // 1_000_000


async def test_times_on_the_call_clock_survive_a_clock_that_runs_ahead(store: RedisStore) -> None:
    ahead_ms = time.time_ns() // 1_000_000 + FORTY_DAYS_MS
    assert await opened(store, "CA1", at_ms=ahead_ms) == 0
    started, stream = call_started("CA1"), stream_started("CA1")  # again, as after an outage
    assert await store.event_log.open(lease_of(store, "CA1"), started, stream, at_ms=ahead_ms, call_ms=ahead_ms) == 0
    later_ms = (await store.history.call("CA1"))["started_at_ms"] + 1500
    assert await opened(store, "CA1", "MZ2", at_ms=later_ms) == 1500


async def test_calls_that_have_expired_leave_the_list_by_and_by(store: RedisStore) -> None:
    long_ago_ms = time.time_ns() // 1_000_000 - FORTY_DAYS_MS
    for number in range(5):
        await ended_call(store, f"CA{number}", at_ms=long_ago_ms + number)
    await store.client.delete(*(store.keys.call(f"CA{number}") for number in range(3)))
    await ended_call(store, "CA9")
    assert await store.client.zrange(store.keys.calls, 0, -1) == ["CA3", "CA4", "CA9"]


async def test_a_call_that_begins_while_it_is_looked_for_is_read(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    exists = store.reading.exists

    async def late(*keys: str) -> int:
        if not await exists(*keys):
            await ended_call(store, "CA1")
        return int(await exists(*keys))

    monkeypatch.setattr(store.reading, "exists", late)
    events = await store.history.events("CA1")
    assert json.loads(events[0])["type"] == "call.started"
    assert await store.history.events("CA1", after=len(events)) == []
