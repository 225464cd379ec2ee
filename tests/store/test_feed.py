"""Following what is published, on a real Redis."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from tests.sample_events import append, final, opened, partial, until
from transcriber.errors import StoreError
from transcriber.store.feed import BEHIND_MESSAGES, RedisFeed
from transcriber.store.ports import PublishedEvent
from transcriber.store.redis.private_server import PrivateRedis
from transcriber.store.redis_store import RedisStore, open_store


async def take(feed: AsyncIterator[PublishedEvent], count: int) -> list[PublishedEvent]:
    async with asyncio.timeout(5):
        return [await anext(feed) for _ in range(count)]


def texts(messages: list[PublishedEvent]) -> list[str]:
    return [json.loads(message.json).get("text", "") for message in messages]


async def test_nothing_published_after_entering_is_missed(store: RedisStore) -> None:
    await opened(store, "CA1")
    for number in range(1, 20):
        async with store.feed.follow("CA1") as feed:
            await append(store, number, final("CA1", f"said {number}"))
            assert texts(await take(feed, 1)) == [f"said {number}"]


async def test_a_message_names_its_call_and_channel(store: RedisStore) -> None:
    async with store.feed.follow() as feed:
        await opened(store, "CA1")
        await append(store, 1, final("CA1"))
        await store.event_log.publish(partial("CA2"))
        messages = await take(feed, 4)
    assert [(message.call_sid, message.channel) for message in messages] == [
        ("CA1", "event"),
        ("CA1", "event"),
        ("CA1", "final"),
        ("CA2", "partial"),
    ]
    assert messages[2].json == (await store.history.events("CA1"))[2]


async def test_every_follower_gets_its_own_calls(store: RedisStore) -> None:
    async with store.feed.follow("CA1") as one, store.feed.follow("CA2") as two, store.feed.follow() as both:
        for call_sid in ("CA1", "CA2"):
            await store.event_log.publish(partial(call_sid, call_sid))
        assert texts(await take(both, 2)) == ["CA1", "CA2"]
        assert texts(await take(one, 1)) == ["CA1"]
        assert texts(await take(two, 1)) == ["CA2"]


async def test_one_connection_serves_all_followers(store: RedisStore) -> None:
    async with store.feed.follow(), store.feed.follow("CA1"), store.feed.follow("CA2"):
        assert await store.client.pubsub_numpat() >= 3
        clients = await store.client.client_list(_type="pubsub")
        ours = [client for client in clients if int(client["psub"]) == 3]
        assert len(ours) == 1


async def test_a_slow_follower_loses_partials_first_and_is_then_dropped(store: RedisStore) -> None:
    await opened(store, "CA1")
    slow_feed = RedisFeed(store.client, store.keys, max_waiting=3)
    async with slow_feed.follow("CA1") as slow, store.feed.follow("CA1") as quick:
        await store.event_log.publish(partial("CA1", "partial 1"))
        await store.event_log.publish(partial("CA1", "partial 2"))
        for number in (1, 2):
            await append(store, number, final("CA1", f"final {number}"))
        assert len(await take(quick, 4)) == 4
        await store.event_log.publish(partial("CA1", "partial 3"))
        await append(store, 3, final("CA1", "final 3"))
        await store.event_log.publish(partial("CA1", "partial 4"))
        await append(store, 4, final("CA1", "final 4"))
        assert len(await take(quick, 4)) == 4
        async with slow_feed.follow("CA1") as marker:
            await store.event_log.publish(partial("CA1", "marker"))
            await take(marker, 1)  # everything before it has reached the slow one
        assert texts(await take(slow, 3)) == ["final 1", "final 2", "final 3"]
        with pytest.raises(StoreError, match="behind"):
            await take(slow, 1)
    await slow_feed.aclose()


async def test_of_a_reader_that_is_behind_only_the_newest_partial_of_each_track_waits(store: RedisStore) -> None:
    await opened(store, "CA1")
    async with store.feed.follow("CA1") as slow, store.feed.follow("CA1") as quick:
        read = asyncio.create_task(until_last(quick))
        for number in range(1, BEHIND_MESSAGES + 1):
            await append(store, number, final("CA1", "final"))
        for number in range(1, 6):
            for track in ("inbound", "outbound"):
                await store.event_log.publish(replace(partial("CA1", f"{track} {number}"), track=track))
            await store.client.publish(store.keys.channel("CA1", "partial"), f"[{number}]")
        await append(store, BEHIND_MESSAGES + 1, final("CA1", "last"))
        assert len(await read) == BEHIND_MESSAGES + 16
        waiting = (await until_last(slow))[BEHIND_MESSAGES:]
    assert waiting == ["[1]", "[2]", "[3]", "[4]", "inbound 5", "outbound 5", "[5]", "last"]


async def until_last(feed: AsyncIterator[PublishedEvent]) -> list[str]:
    """What comes up to `last`: texts, or what is no event as it is."""
    found: list[str] = []
    while found[-1:] != ["last"]:
        [message] = await take(feed, 1)
        event = json.loads(message.json)
        found.append(event["text"] if isinstance(event, dict) else message.json)
    return found


async def test_a_lost_connection_ends_the_iteration_and_is_made_again(store: RedisStore) -> None:
    async with store.feed.follow("CA1") as feed:
        await kill_subscriptions(store)
        with pytest.raises(StoreError):
            await take(feed, 1)
    async with store.feed.follow("CA1") as feed:
        await store.event_log.publish(partial("CA1", "after"))
        assert texts(await take(feed, 1)) == ["after"]


async def kill_subscriptions(store: RedisStore) -> None:
    for client in await store.client.client_list(_type="pubsub"):
        await store.client.client_kill_filter(_id=client["id"])


async def test_what_came_before_the_loss_is_still_delivered(store: RedisStore) -> None:
    await opened(store, "CA1")
    async with store.feed.follow("CA1") as feed:
        await append(store, 1, final("CA1", "before"))
        await kill_subscriptions(store)
        assert texts(await take(feed, 1)) == ["before"]
        with pytest.raises(StoreError):
            await take(feed, 1)


async def test_redis_away_and_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("redis")
    async with PrivateRedis(directory) as server:
        store = await open_store(server.url, prefix="transcripts", ttl_s=0)
        async with store.feed.follow() as feed:
            await server.__aexit__(None, None, None)
            with pytest.raises(StoreError):
                await take(feed, 1)
    with pytest.raises(StoreError, match="Redis does not answer"):
        await store.ping()
    async with PrivateRedis(directory):
        async with store.feed.follow() as feed:
            await store.event_log.publish(partial("CA1", "back"))
            assert texts(await take(feed, 1)) == ["back"]
        await store.aclose()


async def test_a_message_that_is_not_text_is_survived(store: RedisStore) -> None:
    async with store.feed.follow() as feed:
        await store.client.publish(store.keys.channel("CA1", "final"), b"\xff\xfe")
        with pytest.raises(StoreError, match="could not be read"):
            await take(feed, 1)
    async with store.feed.follow() as feed:
        await store.event_log.publish(partial("CA1", "after"))
        assert texts(await take(feed, 1)) == ["after"]


async def test_closing_ends_the_followers(store: RedisStore) -> None:
    async with store.feed.follow() as feed:
        await store.feed.aclose()
        with pytest.raises(StoreError, match="closing"):
            await take(feed, 1)


async def test_leaving_stops_the_queueing(store: RedisStore) -> None:
    async with store.feed.follow() as feed:
        pass
    async with store.feed.follow() as other:
        await store.event_log.publish(partial("CA1"))
        await take(other, 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await anext(feed)


async def test_a_deaf_redis_is_reported_on_entering(store: RedisStore) -> None:
    feed = RedisFeed(store.client, store.keys, confirm_s=0.1)
    await store.client.execute_command("CLIENT", "PAUSE", 3000)
    with pytest.raises(StoreError, match="cannot follow"):
        async with feed.follow():
            pass
    await feed.aclose()
    await until(lambda: answers(store))


async def answers(store: RedisStore) -> bool:
    try:
        await store.ping()
    except StoreError:
        return False
    return True
