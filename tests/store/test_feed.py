"""Following what is published, on a real Redis."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from msgspec.structs import replace

from bench.own_redis import own_redis
from tests.sample_events import append, final, opened, partial, until
from tests.server.troubled import user
from transcriber.errors import StoreError
from transcriber.store.feed import RedisFeed
from transcriber.store.followers import BEHIND_MESSAGES
from transcriber.store.ports import PublishedEvent
from transcriber.store.redis import topic_connection
from transcriber.store.redis.private_server import PrivateRedis
from transcriber.store.redis.topics import MAX_IDLE
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


async def test_a_reader_waits_for_a_redis_that_comes_back_soon(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "transcriber.store.redis.topic_connection")
    async with own_redis() as redis, await open_store(redis.url, prefix="p", ttl_s=60) as store:
        await redis.kill()
        feed = RedisFeed(store.client, store.keys, confirm_s=60)
        following = feed.follow("CA1")
        entering = asyncio.create_task(following.__aenter__())
        await until(lambda: asyncio.sleep(0, "subscription lost" in caplog.text))
        await redis.start()
        messages = await asyncio.wait_for(entering, 20)
        await store.event_log.publish(partial("CA1", "back"))
        assert texts(await take(messages, 1)) == ["back"]
        await following.__aexit__(None, None, None)
        await feed.aclose()


async def test_a_redis_that_falls_silent_is_asked_and_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_connection, "HEARTBEAT_S", 0.05)
    async with own_redis() as redis, await open_store(redis.url, prefix="p", ttl_s=60) as store:
        async with store.feed.follow("CA1") as reader:
            await until(lambda: asked_often(store))
            await store.event_log.publish(partial("CA1", "it only had nothing to say"))
            assert texts(await take(reader, 1)) == ["it only had nothing to say"]
            monkeypatch.setattr(topic_connection, "CONFIRM_S", 0.05)
            redis.stall()
            with pytest.raises(StoreError, match="does not answer"):
                await take(reader, 1)
            redis.wake()
        monkeypatch.undo()
        async with store.feed.follow("CA1") as reader:
            await store.event_log.publish(partial("CA1", "after"))
            assert texts(await take(reader, 1)) == ["after"]


async def asked_often(store: RedisStore) -> bool:
    """Whether a subscriber's connection has been answered PING five times."""
    stats = await store.client.info("commandstats")
    return bool(stats.get("cmdstat_ping", {"calls": 0})["calls"] > 5)


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


async def subscribed(store: RedisStore) -> list[tuple[int, int]]:
    """How many channels and patterns each connection of this store's readers is subscribed to."""
    clients = await store.client.client_list(_type="pubsub")
    return [(int(client["sub"]), int(client["psub"])) for client in clients]


async def test_only_what_is_read_is_subscribed_to(store: RedisStore) -> None:
    assert await subscribed(store) == []
    async with store.feed.follow("CA1"), store.feed.follow("CA1"), store.feed.follow("CA2", partials=False):
        assert await subscribed(store) == [(5, 0)]
        async with store.feed.follow(partials=False):
            assert await subscribed(store) == [(5, 2)]
        async with store.feed.follow():
            assert await subscribed(store) == [(5, 3)]


async def test_what_nobody_reads_any_more_is_left_after_a_while(store: RedisStore) -> None:
    feed = RedisFeed(store.client, store.keys, linger_s=0.05)
    async with feed.follow("CA1"):
        async with feed.follow("CA2"), feed.follow():
            assert await subscribed(store) == [(6, 3)]
        await until(lambda: is_subscribed(store, [(3, 0)]))
    await until(lambda: is_subscribed(store, []))
    async with feed.follow("CA1") as messages:
        await store.event_log.publish(partial("CA1", "again"))
        assert texts(await take(messages, 1)) == ["again"]
    await feed.aclose()


async def is_subscribed(store: RedisStore, expected: list[tuple[int, int]]) -> bool:
    return await subscribed(store) == expected


async def test_a_reader_who_comes_back_soon_finds_the_subscription(store: RedisStore) -> None:
    feed = RedisFeed(store.client, store.keys, linger_s=60)
    await store.client.config_resetstat()
    for _ in range(20):
        async with feed.follow("CA1"):
            pass
    asked = await store.client.info("commandstats")
    assert asked["cmdstat_subscribe"]["calls"] == 1
    assert "cmdstat_unsubscribe" not in asked
    await feed.aclose()


async def test_topics_that_nobody_reads_are_bounded(store: RedisStore) -> None:
    feed = RedisFeed(store.client, store.keys, linger_s=60)
    async with feed.follow("CA"):
        for batch in range(0, 2 * MAX_IDLE, 100):
            readers = [feed.follow(f"CA{batch + n}") for n in range(100)]
            async with AsyncExitStack() as stack:
                await asyncio.gather(*(stack.enter_async_context(reader) for reader in readers))
        [(channels, _)] = await subscribed(store)
        assert channels <= MAX_IDLE + 3
    await feed.aclose()


async def test_a_reader_of_everything_and_one_of_a_call_each_get_a_message_once(store: RedisStore) -> None:
    await opened(store, "CA1")
    async with store.feed.follow() as everything, store.feed.follow("CA1") as one:
        for number in (1, 2, 3):
            await append(store, number, final("CA1", str(number)))
        assert texts(await take(everything, 3)) == ["1", "2", "3"]
        assert texts(await take(one, 3)) == ["1", "2", "3"]


async def test_readers_without_partials_get_none(store: RedisStore) -> None:
    await opened(store, "CA1")
    async with store.feed.follow(partials=False) as everything, store.feed.follow("CA1", partials=False) as one:
        await store.event_log.publish(partial("CA1", "partial"))
        await append(store, 1, final("CA1", "final"))
        assert texts(await take(everything, 1)) == texts(await take(one, 1)) == ["final"]


async def test_a_storm_of_readers_misses_nothing(store: RedisStore) -> None:
    """Readers come and go while everybody publishes: each gets what is published after it entered, in order."""
    feed = RedisFeed(store.client, store.keys, linger_s=0.0)
    await asyncio.gather(*(reads_its_own(store, feed, f"CA{reader % 7}", reader) for reader in range(60)))
    await until(lambda: is_subscribed(store, []))
    await feed.aclose()


async def reads_its_own(store: RedisStore, feed: RedisFeed, call_sid: str, reader: int) -> None:
    for turn in range(5):
        mine = [f"{reader} {turn} {number}" for number in range(3)]
        async with feed.follow(call_sid if reader % 10 else None) as messages:
            for text in mine:
                await store.client.publish(store.keys.channel(call_sid, "final"), json.dumps({"text": text}))
            heard: list[str] = []
            while len(heard) < len(mine):
                heard += [text for text in texts(await take(messages, 1)) if text in mine]
            assert heard == mine


RULES: dict[tuple[str, ...], tuple[int, int]] = {
    ("&p:*", "+@all"): (3, 0),
    ("&p:*", "+@all", "-subscribe"): (0, 1),
    ("&p:*", "+@all", "-psubscribe"): (3, 0),
    ("&p:*:partial", "&p:*:final", "&p:*:event", "+@all", "-subscribe"): (0, 3),
    ("&p:*", "+@all", "-unsubscribe"): (3, 0),
}


@pytest.mark.parametrize("rules", RULES)
async def test_a_reader_of_a_call_takes_what_its_rights_allow(rules: tuple[str, ...]) -> None:
    async with own_redis() as redis:
        url = await user(redis, "~p:*", *rules)
        async with await open_store(url, prefix="p", ttl_s=60) as store:
            feed = RedisFeed(store.client, store.keys, linger_s=0.0)
            for _ in range(2):
                async with feed.follow("CA1") as one, feed.follow("CA2"):
                    await store.event_log.publish(partial("CA2", "of another call"))
                    await store.event_log.publish(partial("CA1", "own"))
                    assert texts(await take(one, 1)) == ["own"]
            assert await subscribed(store) in ([], [RULES[rules]], [tuple(2 * n for n in RULES[rules])])
            await feed.aclose()


@pytest.mark.parametrize("rules", [("+@all",), ("&p:*", "+@all", "-subscribe", "-psubscribe")])
async def test_without_the_right_to_subscribe_nobody_follows(rules: tuple[str, ...]) -> None:
    async with own_redis() as redis:
        url = await user(redis, "~p:*", *rules)
        async with await open_store(url, prefix="p", ttl_s=60) as store:
            for call_sid in ("CA1", None):
                with pytest.raises(StoreError, match="cannot follow") as refused:
                    async with store.feed.follow(call_sid):
                        pass
                assert refused.value.reason == "refused"
            assert store.secondary_writes.problems == {"subscription": "refused"}
            await user(redis, "~p:*", "&p:*", "+@all")
            await until(lambda: asyncio.sleep(0, not store.secondary_writes.problems))
