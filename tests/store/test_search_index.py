"""Full-text search on a real Redis: what is found, in which order and pages, and that nothing is left of what goes."""

import asyncio
from typing import Any

from tests.sample_events import STARTED_MS, append, closed, final, opened
from tests.store.test_call_history import all_pages, sids
from transcriber.store.ports import CallQuery, Status
from transcriber.store.redis_store import RedisStore
from transcriber.store.search.query import parse_query

DAY_MS = 86_400_000


async def spoken(store: RedisStore, call_sid: str, *texts: str, at_ms: int = STARTED_MS, end: bool = True) -> None:
    """A call in which these finals were said."""
    await opened(store, call_sid, at_ms=at_ms)
    for number, text in enumerate(texts, 1):
        await append(store, number, final(call_sid, text))
    if end:
        await closed(store, call_sid, number=len(texts) + 1)


async def search(store: RedisStore, q: str, **more: Any) -> list[str]:
    return sids(await store.history.calls(CallQuery(terms=parse_query(q), **more)))


async def test_all_words_beginnings_and_phrases(store: RedisStore) -> None:
    await spoken(store, "CA1", "my credit card is lost", "please help")
    await spoken(store, "CA2", "a card game", "the credit is gone", at_ms=STARTED_MS + 1)
    await spoken(store, "CA3", "payment of the bill", at_ms=STARTED_MS + 2)
    await spoken(store, "CA4", "he paid the bills", at_ms=STARTED_MS + 3)
    assert await search(store, "card") == ["CA2", "CA1"]
    assert await search(store, "CARD credit") == ["CA2", "CA1"]
    assert await search(store, '"credit card"') == ["CA1"]
    assert await search(store, "pa*") == ["CA4", "CA3"]
    assert await search(store, "bill* paym*") == ["CA3"]
    assert await search(store, "card lost please") == ["CA1"]
    assert await search(store, "nobody") == []
    assert await search(store, "zz*") == []


async def test_matches_are_marked(store: RedisStore) -> None:
    await spoken(store, "CA1", "a card", "nothing", "the credit card", "card one", "card two")
    [call] = (await store.history.calls(CallQuery(terms=parse_query("card credit")))).calls
    assert call["match_count"] == 4
    assert [match["text"] for match in call["matches"]] == ["a card", "the credit card", "card one"]
    assert call["matches"][1] == {
        "seq": 5,
        "track": "inbound",
        "speaker": "caller",
        "start_ms": 100,
        "end_ms": 1100,
        "text": "the credit card",
        "marks": [[4, 10], [11, 15]],
    }


async def test_filters_hold_for_searches(store: RedisStore) -> None:
    await spoken(store, "CA1", "hello", at_ms=STARTED_MS - 3 * DAY_MS)
    await spoken(store, "CA2", "hello", at_ms=STARTED_MS)
    await spoken(store, "CA3", "hello", at_ms=STARTED_MS + 1, end=False)
    status: Status = "live"
    assert await search(store, "hello", status=status) == ["CA3"]
    assert await search(store, "hello", since_ms=STARTED_MS) == ["CA3", "CA2"]
    assert await search(store, "hello", until_ms=STARTED_MS) == ["CA2", "CA1"]
    assert await search(store, "hello", since_ms=STARTED_MS - DAY_MS, until_ms=STARTED_MS) == ["CA2"]


async def test_pages_are_whole_while_calls_arrive(store: RedisStore) -> None:
    for number in range(40):  # many at the same millisecond, on several days
        await spoken(store, f"CA{number:02}", "same words", at_ms=STARTED_MS - DAY_MS * (number // 15))
    first = await store.history.calls(CallQuery(terms=parse_query("words same"), limit=7))
    await spoken(store, "CAnew", "same words", at_ms=STARTED_MS + 5)
    rest = await all_pages(
        store, lambda cursor: CallQuery(terms=parse_query("words same"), limit=7, cursor=cursor or first.cursor)
    )
    expected = sorted(range(40), key=lambda number: (-(number // 15), number), reverse=True)
    assert sids(first) + rest == [f"CA{number:02}" for number in expected]


async def test_a_search_of_common_words_that_never_meet_ends(store: RedisStore) -> None:
    for number in range(60):
        await spoken(store, f"CA{number:02}", "left" if number % 2 else "right", at_ms=STARTED_MS + number)
    assert await search(store, "left right") == []


async def test_a_deleted_call_leaves_nothing_in_the_index(store: RedisStore) -> None:
    await spoken(store, "CA1", "one two", "three")
    await store.history.delete("CA1")
    assert await search(store, "one") == []
    left = [key async for key in store.client.scan_iter(match=f"*{store.keys.prefix}*")]
    assert left == [store.keys.deleted("CA1")]


async def age(store: RedisStore) -> None:
    """What is indexed by now bears the names of earlier versions, which did not begin with the prefix."""
    new, old = store.keys.search, store.keys.old_search
    async for key in store.client.scan_iter(match=f"{new}*", count=1000):
        await store.client.rename(key, old + str(key).removeprefix(new))


async def test_what_an_earlier_version_indexed_is_found_in_order_and_removed(store: RedisStore) -> None:
    for number in range(0, 40, 2):
        await spoken(store, f"CA{number:02}", "same words", at_ms=STARTED_MS - DAY_MS * (number // 15))
    await age(store)
    for number in range(1, 40, 2):
        await spoken(store, f"CA{number:02}", "same words", at_ms=STARTED_MS - DAY_MS * (number // 15))
    found = await all_pages(store, lambda cursor: CallQuery(terms=parse_query("words same"), limit=7, cursor=cursor))
    expected = sorted(range(40), key=lambda number: (-(number // 15), number), reverse=True)
    assert found == [f"CA{number:02}" for number in expected]
    for call_sid in found:
        await store.history.delete(call_sid)
    left = [key async for key in store.client.scan_iter(match=f"*{store.keys.prefix}*", count=1000)]
    assert sorted(left) == sorted(store.keys.deleted(call_sid) for call_sid in found)


async def test_an_expired_call_is_passed_over_and_the_index_expires(store: RedisStore) -> None:
    await spoken(store, "CA1", "hello")
    await store.client.delete(store.keys.call("CA1"), store.keys.events("CA1"))
    assert await search(store, "hello") == []
    keys = [key async for key in store.client.scan_iter(match=f"{store.keys.search}[wv]:*")]
    assert keys
    assert all([await store.client.ttl(key) > 3600 for key in keys])


async def test_a_final_that_is_written_again_is_found_once(store: RedisStore) -> None:
    await opened(store, "CA1")
    await asyncio.gather(*(append(store, 1, final("CA1", "only once")) for _ in range(3)))
    [call] = (await store.history.calls(CallQuery(terms=parse_query("once")))).calls
    assert call["match_count"] == 1
