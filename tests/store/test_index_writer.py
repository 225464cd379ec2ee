"""Words are indexed behind the finals' back: nothing waits for it, nothing is lost by it."""

import asyncio
from pathlib import Path
from unittest.mock import patch

from tests.outbox_servers import OpenServer, say
from tests.sample_events import STARTED_MS, append, closed, final, opened, until
from tests.store.test_search_index import search
from tests.store.test_topologies import cluster
from transcriber.store.redis_store import RedisStore, open_store
from transcriber.store.search import index_writer


async def indexed(store: RedisStore) -> list[str]:
    """The words of all days, in Redis as it is."""
    found = []
    async for key in store.client.scan_iter(match=f"{store.keys.prefix}:*:v:*", count=1000):
        found += [str(word) for word in await store.client.zrange(key, 0, -1)]
    return sorted(found)


async def test_words_are_written_later_and_those_of_all_calls_together(store: RedisStore) -> None:
    for call_sid in ("CA1", "CA2"):
        await opened(store, call_sid)
        await append(store, 1, final(call_sid, "hello there"))
    assert await indexed(store) == []
    await until(lambda: indexed_words(store, ["hello", "there"]), within_s=10)


async def indexed_words(store: RedisStore, expected: list[str]) -> bool:
    return await indexed(store) == expected


async def test_a_search_on_the_same_server_finds_what_was_just_written(store: RedisStore) -> None:
    await opened(store, "CA1")
    await append(store, 1, final("CA1", "hello there"))
    assert await search(store, "hello") == ["CA1"]


async def test_the_words_of_an_ended_call_are_in_the_index(store: RedisStore) -> None:
    await opened(store, "CA1")
    await append(store, 1, final("CA1", "hello there"))
    await closed(store, "CA1", number=2)
    assert await indexed(store) == ["hello", "there"]


async def test_the_words_of_a_server_that_died_before_they_were_indexed_are_found(open_server: OpenServer) -> None:
    dead, survivor = await open_server(), await open_server()
    publisher = dead.begin("CA1", "MZ1")
    say(publisher, "hello there")
    await dead.delivered()
    await dead.die()
    assert await indexed(survivor.store) == []
    await survivor.outbox.takeover.interrupt(publisher.lease)
    await survivor.store.index_repair.run_once()
    assert await search(survivor.store, "hello") == ["CA1"]


async def test_calls_that_find_no_room_are_marked(store: RedisStore) -> None:
    with patch.object(index_writer, "MAX_WAITING_ENTRIES", 3):
        await store.index_writer.flush()
        await opened(store, "CA1")
        await append(store, 1, final("CA1", "hello"))
        await opened(store, "CA2", at_ms=STARTED_MS + 1)
        await append(store, 1, final("CA2", "more words than there is room for"))
        assert await search(store, "hello") == ["CA1"]
        assert await search(store, "room") == []
    assert await store.index_repair.run_once() == 1
    assert await search(store, "room") == ["CA2"]


async def test_the_words_of_a_cluster_lie_in_many_slots_and_are_found_in_order(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (clients, ports):
        url = f"redis+cluster://127.0.0.1:{ports[0]}"
        async with await open_store(url, prefix="transcripts", ttl_s=3600) as store:
            sids = [f"CA{number:02}" for number in range(40)]
            for place, call_sid in enumerate(sids):
                await opened(store, call_sid, at_ms=STARTED_MS + place)
            await asyncio.gather(*(append(store, 1, final(call_sid, "same words")) for call_sid in sids))
            assert await search(store, "same words", limit=100) == sids[::-1]
            places = {str(key) async for key in store.client.scan_iter(match="transcripts:*:v:*", count=1000)}
            assert len(places) > 8
            on_nodes = [[key async for key in client.scan_iter(match="transcripts:*:v:*")] for client in clients]
            assert all(on_nodes)
            for call_sid in sids:
                await closed(store, call_sid, number=2)
                await store.history.delete(call_sid)
            assert [key async for key in store.client.scan_iter(match="transcripts:*search*", count=1000)] == []
