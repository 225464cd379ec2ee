"""A search takes Redis in small steps, however it is asked; and what it leaves for later is found later."""

import random
from collections.abc import Iterator

import pytest

from tests.sample_events import STARTED_MS
from tests.store.test_call_history import all_pages
from tests.store.test_search_index import DAY_MS, search, spoken
from transcriber.errors import BadRequest
from transcriber.store.ports import CallQuery
from transcriber.store.redis_store import RedisStore
from transcriber.store.search import index
from transcriber.store.search.query import parse_query

WORDS = ("pay", "payment", "paid", "pat", "card", "care", "car", "cost", "zebra", "the", "credit")
QUERIES = (
    "pay",
    "pa*",
    "ca* pa*",
    "the pa*",
    '"the credit"',
    "zebra ca* co*",
    "car card",
    "ze* th*",
    '"the cr*"',
    "xy*",
)


async def random_calls(store: RedisStore, *, calls: int) -> dict[str, list[str]]:
    """Calls on some days, many at one millisecond; their texts by CallSid, newest first."""
    chance = random.Random(5)
    found: dict[tuple[int, str], list[str]] = {}
    for number in range(calls):
        texts = [" ".join(chance.choices(WORDS, k=3)) for _ in range(2)]
        at_ms = STARTED_MS - DAY_MS * chance.randrange(5) + chance.randrange(6)
        await spoken(store, f"CA{number:03}", *texts, at_ms=at_ms)
        found[at_ms, f"CA{number:03}"] = texts
    return {call_sid: found[at_ms, call_sid] for at_ms, call_sid in sorted(found, reverse=True)}


def expected_calls(texts_by_call: dict[str, list[str]], q: str) -> Iterator[str]:
    """The calls that a query should find."""
    for call_sid, texts in texts_by_call.items():
        padded = [f" {text} " for text in texts]
        if all(
            any(f" {' '.join(term.words)}{'' if term.is_prefix else ' '}" in text for text in padded)
            for term in parse_query(q)
        ):
            yield call_sid


@pytest.mark.parametrize(("work", "most_events"), [(1, 50_000), (30, 700), (index.MAX_WORK, 50_000)])
async def test_small_steps_find_what_one_would(store: RedisStore, work: int, most_events: int) -> None:
    texts_by_call = await random_calls(store, calls=60)
    store.search_index.max_work = work
    store.history.max_events_read = most_events

    for q in QUERIES:
        expected = list(expected_calls(texts_by_call, q))
        for limit in (4, 100):

            def asked(cursor: str | None, q: str = q, limit: int = limit) -> CallQuery:
                return CallQuery(terms=parse_query(q), limit=limit, cursor=cursor)

            assert await all_pages(store, asked) == expected, q


async def test_a_page_that_would_read_too_much_is_short_and_has_a_cursor(store: RedisStore) -> None:
    for number in range(12):
        await spoken(store, f"CA{number:02}", "hello", at_ms=STARTED_MS + number)
    store.history.max_events_read = 25
    page = await store.history.calls(CallQuery(terms=parse_query("hello"), limit=200))
    assert 0 < len(page.calls) < 12
    assert page.cursor
    store.history.max_calls_read = 5
    assert await all_pages(store, lambda cursor: CallQuery(status="interrupted", limit=50, cursor=cursor)) == []
    page = await store.history.calls(CallQuery(status="interrupted"))
    assert (len(page.calls), bool(page.cursor)) == (0, True)


async def test_a_query_that_is_too_wide_is_refused(store: RedisStore) -> None:
    with pytest.raises(BadRequest, match="more than 4 beginnings"):
        parse_query("co* ca* pa* ma* re*")
    words = {f"co{number:04}": 0.0 for number in range(index.MAX_PREFIX_WORDS)}
    await spoken(store, "CA1", "coming soon")
    [key] = [key async for key in store.client.scan_iter(match=f"*{store.keys.prefix}*:v:*")]
    await store.client.zadd(key, words)
    with pytest.raises(BadRequest, match=r"too many words begin with co: write more letters"):
        await search(store, "co*")
    assert await search(store, "com*") == ["CA1"]
    assert await search(store, "coming so*") == ["CA1"]


async def test_a_search_writes_nothing(store: RedisStore) -> None:
    await spoken(store, "CA1", "pay the payment")
    before = {key async for key in store.client.scan_iter(match="*")}
    writes = (await store.client.info("persistence"))["rdb_changes_since_last_save"]
    assert await search(store, "pa* th*") == ["CA1"]
    assert {key async for key in store.client.scan_iter(match="*")} == before
    assert (await store.client.info("persistence"))["rdb_changes_since_last_save"] == writes


async def test_a_call_of_very_many_words_goes_in_and_out_in_parts(store: RedisStore) -> None:
    words = [f"word{number}" for number in range(3 * index.BATCH_ROWS)]
    await spoken(store, "CA1", " ".join(words), "and another")
    for q in ("word0 another", f'"{words[-2]} {words[-1]}"', "word749 word1*"):
        assert await search(store, q) == ["CA1"]
    await store.history.delete("CA1")
    left = [key async for key in store.client.scan_iter(match=f"*{store.keys.prefix}*")]
    assert left == [store.keys.deleted("CA1")]
