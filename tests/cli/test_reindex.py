"""`transcriber reindex`, and the start of a server: what was lost of the list and the index is made anew."""

from pathlib import Path

from tests.process import command, process, wait_until_ready
from tests.sample_events import STARTED_MS, append, closed, final, opened, until
from transcriber.store.ports import CallQuery
from transcriber.store.redis_store import RedisStore
from transcriber.store.search.query import parse_query

CALLS = [f"CA{number:03}" for number in range(250)]


async def kept(store: RedisStore) -> None:
    """More calls than fit in a slice, the last of them live."""
    for number, call_sid in enumerate(CALLS):
        await opened(store, call_sid, at_ms=STARTED_MS + number)
        await append(store, 1, final(call_sid, f"hello number {number}"))
        if call_sid != CALLS[-1]:
            await closed(store, call_sid, number=2)


async def listed(store: RedisStore, **query: object) -> list[str]:
    page = await store.history.calls(CallQuery(limit=500, **query))  # type: ignore[arg-type]
    return [str(call["call_sid"]) for call in page.calls]


async def test_a_lost_list_and_a_lost_index_are_made_anew(store: RedisStore, redis_url: str) -> None:
    await kept(store)
    lost = [store.keys.live, *[key async for key in store.client.scan_iter(match=f"{store.keys.search}*", count=1000)]]
    await store.client.delete(*lost)
    await store.client.zremrangebyrank(store.keys.calls, 0, -2)  # as by a server of old whose clock had jumped
    assert await listed(store) == CALLS[-1:]
    settings = {"TRANSCRIBER_REDIS_URL": redis_url, "TRANSCRIBER_REDIS_PREFIX": store.keys.prefix}
    assert await command("reindex", **settings) == (0, "250 calls are listed and indexed\n")
    assert await listed(store) == CALLS[::-1]
    assert await listed(store, status="live") == CALLS[-1:]
    assert await listed(store, terms=parse_query('"hello number"')) == CALLS[::-1]
    assert await listed(store, terms=parse_query("hello 77")) == ["CA077"]


async def test_a_server_that_finds_no_list_makes_it_anew(store: RedisStore, redis_url: str, tmp_path: Path) -> None:
    await kept(store)
    await store.client.delete(store.keys.calls)
    settings = {
        "TRANSCRIBER_REDIS_URL": redis_url,
        "TRANSCRIBER_REDIS_PREFIX": store.keys.prefix,
        "TRANSCRIBER_DATA_DIR": str(tmp_path),
    }
    async with process(**settings) as child:
        await wait_until_ready(child)

        async def found() -> bool:
            return await listed(store) == CALLS[::-1]

        await until(found, within_s=20)
