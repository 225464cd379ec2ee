"""Finals and call ends at a real receiver: in order, signed, tried again, given up, shared, through trouble."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from tests.sample_events import until
from tests.webhooks.conftest import AT_ONCE, NAME, SECRET, Receiving, Send, Sending
from transcriber.errors import ReceiverGone
from transcriber.settings.signing_secret import key_of
from transcriber.store.ports import PublishedEvent
from transcriber.store.redis_store import RedisStore
from transcriber.webhooks.client import WebhookClient
from transcriber.webhooks.dead_letter_redelivery import redeliver_dead_letters
from transcriber.webhooks.dead_letters import DeadLetters
from transcriber.webhooks.queue import WebhookQueue

MANY = 10_000


async def test_finals_and_the_end_arrive_in_order_and_signed(send: Send, receiving: Receiving, begin_call: Any) -> None:
    async with send() as sending:
        call = await begin_call("CA1")
        await call.say("one")
        await call.publish_partial("tw")
        await call.say("two")
        await call.end()
        events = await receiving.took(3)
        assert [(event["type"], event["seq"]) for event in events] == [("final", 3), ("final", 4), ("call.ended", 6)]
        assert [headers["webhook-id"] for headers in receiving.headers] == ["CA1_3", "CA1_4", "CA1_6"]
        assert receiving.headers[0]["Content-Type"] == "application/json"
        await until(lambda: _is(sending.metric("events_total", outcome="delivered"), 3))
        assert sending.metric("attempts_total", status="200") == 3
        assert sending.metric("delay_seconds_count") == 3


async def _is(value: float | None, expected: float) -> bool:
    return value == expected


class Chatter:
    """A feed on which a call has news in every turn of the loop."""

    @asynccontextmanager
    async def follow(
        self, call_sid: str | None = None, *, partials: bool = True
    ) -> AsyncIterator[AsyncIterator[PublishedEvent]]:
        yield self._messages(call_sid or "CA1")

    async def _messages(self, call_sid: str) -> AsyncIterator[PublishedEvent]:
        while True:
            yield PublishedEvent(call_sid, "final", "{}")
            await asyncio.sleep(0)


async def test_news_at_any_moment_send_nothing_twice(send: Send, receiving: Receiving, begin_call: Any) -> None:
    call = await begin_call("CA1")
    async with send(following=Chatter()):
        for number in range(20):
            await call.say(f"said {number}")
            await receiving.took(number + 1)
        await call.end()
        await receiving.took(21)
    assert receiving.texts("CA1") == [*(f"said {number}" for number in range(20)), "end"]
    assert len(receiving.tried) == 21


async def test_the_status_counts_though_the_answer_never_ends(
    send: Send, receiving: Receiving, begin_call: Any, aiohttp_server: Any
) -> None:
    tried, over = [], asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        tried.append(await request.json())
        response = web.StreamResponse()
        await response.prepare(request)
        await over.wait()
        return response

    app = web.Application()
    app.router.add_post("/hook", endless)
    receiving.url = str((await aiohttp_server(app)).make_url("/hook"))
    call = await begin_call("CA1")
    await call.say("hello")
    async with send(timeout_s=1.0) as sending:
        await until(lambda: _is(sending.metric("events_total", outcome="delivered"), 1))
    over.set()
    assert len(tried) == 1


async def test_the_body_is_the_event_as_it_was_kept(
    send: Send, receiving: Receiving, store: RedisStore, begin_call: Any
) -> None:
    call = await begin_call("CA1")
    await call.say("héllo \u2028 <b>")
    async with send():
        [event] = await receiving.took(1)
    [stored] = await store.history.events("CA1", after=2)
    assert event["text"] == "héllo \u2028 <b>"
    assert int(receiving.headers[0]["Content-Length"]) == len(stored.encode())


async def test_a_failing_event_is_tried_again_and_holds_up_its_own_call_only(
    send: Send, receiving: Receiving, begin_call: Any
) -> None:
    healed = asyncio.Event()
    receiving.rule = lambda event, tries: 500 if event.get("text") == "sick" and not healed.is_set() else 200
    sick, well = await begin_call("CA1"), await begin_call("CA2")
    async with send(attempts=1_000_000):
        await sick.say("sick")
        await sick.say("after it")
        await receiving.until(lambda: len(receiving.tried) > 2)
        await well.say("well")
        await well.end()
        await receiving.until(lambda: receiving.texts("CA2") == ["well", "end"])
        assert receiving.texts("CA1") == []
        healed.set()
        await receiving.until(lambda: receiving.texts("CA1") == ["sick", "after it"])


async def test_an_event_is_given_up_kept_as_a_dead_letter_and_the_call_goes_on(
    send: Send, receiving: Receiving, begin_call: Any
) -> None:
    receiving.rule = lambda event, tries: 500 if event.get("text") == "sick" else 200
    call = await begin_call("CA1")
    await call.say("sick")
    await call.say("well")
    async with send(attempts=3) as sending:
        await receiving.until(lambda: receiving.texts("CA1") == ["well"])
        [letter] = await sending.dead_letters.all()
        assert (letter.call_sid, letter.seq, letter.reason, letter.attempts) == ("CA1", 3, "500", 3)
        assert sum(event["text"] == "sick" for event in receiving.tried) == 3
        assert sending.metric("events_total", outcome="exhausted") == 1
        assert sending.metric("dead_letters") == 1


@pytest.mark.parametrize("status", [400, 413, 415, 422])
async def test_a_refused_event_is_not_tried_again(
    send: Send, receiving: Receiving, begin_call: Any, status: int
) -> None:
    receiving.rule = lambda event, tries: status if event.get("text") == "odd" else 200
    call = await begin_call("CA1")
    await call.say("odd")
    await call.say("fine")
    async with send() as sending:
        await receiving.until(lambda: receiving.texts("CA1") == ["fine"])
        assert [(letter.seq, letter.attempts) for letter in await sending.dead_letters.all()] == [(3, 1)]


@pytest.mark.parametrize("status", [302, 401, 403, 404, 408, 500, 503])
async def test_other_answers_are_tried_again(send: Send, receiving: Receiving, begin_call: Any, status: int) -> None:
    receiving.rule = lambda event, tries: (status, {"Location": receiving.url}) if tries == 1 else 200
    call = await begin_call("CA1")
    await call.say("hello")
    async with send():
        await receiving.until(lambda: receiving.texts("CA1") == ["hello"])
    assert len(receiving.tried) == 2


async def test_retry_after_of_a_busy_receiver_quiets_every_call(
    send: Send, receiving: Receiving, begin_call: Any
) -> None:
    receiving.rule = lambda event, tries: (429, {"Retry-After": "3000"})
    call, other = await begin_call("CA1"), await begin_call("CA2")
    await call.say("hello")
    async with send() as sending:
        await until(lambda: _is(sending.metric("attempts_total", status="429"), 1))
        await other.say("meanwhile")
        await until(lambda: _is(sending.metric("calls_held"), 2))
        assert sending.client.quiet_s > 2000
    assert [event["text"] for event in receiving.tried] == ["hello"]


async def test_gone_ends_the_sender_and_loses_nothing(send: Send, receiving: Receiving, begin_call: Any) -> None:
    receiving.rule = lambda event, tries: 410
    call = await begin_call("CA1")
    await call.say("hello")
    async with send() as sending:
        with pytest.raises(ReceiverGone, match="410"):
            await asyncio.wait_for(sending.task, 10)
        assert await sending.dead_letters.all() == []
    receiving.rule = lambda event, tries: 200
    async with send():
        await receiving.until(lambda: receiving.texts("CA1") == ["hello"])


async def test_a_receiver_that_does_not_answer_in_time_is_tried_again(
    send: Send, receiving: Receiving, begin_call: Any
) -> None:
    never = asyncio.Event()
    receiving.rule = lambda event, tries: never if tries == 1 else 200
    call = await begin_call("CA1")
    await call.say("hello")
    async with send(timeout_s=1.0) as sending:
        await receiving.until(lambda: receiving.texts("CA1") == ["hello"])
        assert sending.metric("attempts_total", status="timeout") == 1
    never.set()


async def test_calls_that_came_and_went_while_no_sender_ran(send: Send, receiving: Receiving, begin_call: Any) -> None:
    first = await begin_call("CA1")
    await first.say("first")
    async with send():
        await receiving.until(lambda: receiving.texts("CA1") == ["first"])
    await first.end()
    for number in range(2, 5):
        call = await begin_call(f"CA{number}")
        await call.say("hello")
        await call.end()
    async with send():
        await receiving.took(8)
    assert receiving.texts("CA1") == ["first", "end"]
    assert all(receiving.texts(f"CA{number}") == ["hello", "end"] for number in range(2, 5))
    assert len(receiving.tried) == 8, "nothing is sent twice"


async def test_a_call_resumed_long_after_its_end_while_no_sender_ran(
    send: Send, receiving: Receiving, begin_call: Any
) -> None:
    began_ms = time.time_ns() // 1_000_000 - 23 * 3_600_000
    await (await begin_call("CA1", at_ms=began_ms)).end()
    async with send():
        await receiving.until(lambda: receiving.texts("CA1") == ["end"])
    again = await begin_call("CA1", stream_sid="MZagain")
    await again.say("back")
    await again.end()
    async with send():
        await receiving.until(lambda: receiving.texts("CA1") == ["end", "back", "end"])


async def test_a_new_name_begins_with_the_calls_that_are_live(
    send: Send, receiving: Receiving, begin_call: Any
) -> None:
    await (await begin_call("CA1")).end()  # ended in 2026-11-23T05:20, as all these calls do
    live = await begin_call("CA2")
    await live.say("before the webhook")
    async with send(born_ms=time.time_ns() // 1_000_000):
        await live.say("with the webhook")
        await receiving.until(lambda: len(receiving.taken) == 2)
    assert receiving.texts("CA2") == ["before the webhook", "with the webhook"]
    assert receiving.texts("CA1") == []


async def test_two_names_each_get_everything(send: Send, receiving: Receiving, begin_call: Any) -> None:
    call = await begin_call("CA1")
    await call.say("hello")
    async with send(), send(name="another"):
        await receiving.until(lambda: receiving.texts("CA1") == ["hello", "hello"])


async def test_two_senders_share_the_calls_and_keep_the_order(
    send: Send, receiving: Receiving, begin_call: Any, store: RedisStore
) -> None:
    busy = asyncio.Event()
    receiving.rule = lambda event, tries: 200 if busy.is_set() else busy
    calls = [await begin_call(f"CA{number}") for number in range(20)]
    await asyncio.gather(*(call.say("one") for call in calls))
    # Whoever comes first takes what is free, so half of the calls are another's until the first sender has its own.
    third = WebhookQueue(store.client, store.keys, name=NAME, consumer="third", lease_s=60.0)
    for call in calls[10:]:
        assert isinstance(await third.take(call.call_sid), list)
    async with send(lease_s=60.0, timeout_s=60.0) as one:
        await receiving.until(lambda: len(receiving.tried) == AT_ONCE)  # as many as it can have under way
        await until(lambda: _is(one.metric("calls_held"), 10))
        for call in calls[10:]:
            await third.release(call.call_sid)
        async with send(lease_s=60.0, timeout_s=60.0) as two:
            await receiving.until(lambda: len(receiving.tried) > AT_ONCE)
            busy.set()
            for word in ("two", "three"):
                await asyncio.gather(*(call.say(word) for call in calls))
            await asyncio.gather(*(call.end() for call in calls))
            await receiving.took(80)
            for call in calls:
                assert receiving.texts(call.call_sid) == ["one", "two", "three", "end"]
            await until(lambda: _is(sum(shares(one, two)), 80))
            assert all(shares(one, two))


def shares(*senders: Sending) -> list[float]:
    return [sending.metric("attempts_total", status="200") or 0 for sending in senders]


async def test_nobody_else_sends_while_one_waits_for_another_try(
    send: Send, receiving: Receiving, begin_call: Any, store: RedisStore
) -> None:
    receiving.rule = lambda event, tries: 500 if tries == 1 else 200
    call = await begin_call("CA1")
    await call.say("one")
    async with send(lease_s=1.0, first_delay_s=60.0) as first:
        await receiving.until(lambda: len(receiving.tried) == 1)
        async with send(lease_s=1.0, first_delay_s=60.0):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3.3):  # three leases: they are renewed
                    await receiving.until(lambda: len(receiving.tried) > 1)
            first.dispatcher.stop()  # leaves the call at once, and its number of tries
            await receiving.until(lambda: receiving.texts("CA1") == ["one"])
    groups = await store.client.xinfo_groups(store.keys.events("CA1"))
    assert [(group["name"], group["pending"]) for group in groups] == [(f"webhook:{NAME}", 0)]


async def test_a_call_deleted_while_its_event_waits_is_forgotten(
    send: Send, receiving: Receiving, begin_call: Any, store: RedisStore
) -> None:
    receiving.rule = lambda event, tries: 500 if event["call_sid"] == "CA1" else 200
    call, other = await begin_call("CA1"), await begin_call("CA2")
    await call.say("hello")
    await call.end()
    async with send(attempts=1_000_000, lease_s=0.3) as sending:
        await receiving.until(lambda: len(receiving.tried) > 1)
        await store.history.delete("CA1")
        await until(lambda: _is(sending.metric("calls_held"), 0))
        await other.say("still here")
        await receiving.until(lambda: receiving.texts("CA2") == ["still here"])
    assert receiving.texts("CA1") == []


class BrokenFeed:
    def follow(self, call_sid: str | None = None, *, partials: bool = True) -> Any:
        raise RuntimeError("the feed is broken")


async def test_work_that_breaks_ends_the_sender_with_its_error(send: Send) -> None:
    async with send(following=BrokenFeed()) as sending, asyncio.timeout(10):
        with pytest.raises(RuntimeError, match="the feed is broken"):
            await sending.task


async def test_events_of_another_version_are_passed_over_or_sent_as_they_are(
    send: Send, receiving: Receiving, begin_call: Any, store: RedisStore
) -> None:
    await begin_call("CA1")
    for text in ('{"type":"novel"}', "no json", "[]", '{"type":"final","call_sid":"CA1","text":"old","extra":1}'):
        await store.client.xadd(store.keys.events("CA1"), {"event": text})
    async with send():
        [event] = await receiving.took(1)
    assert event == {"type": "final", "call_sid": "CA1", "text": "old", "extra": 1}


async def test_the_log_names_failures_and_their_end_but_no_text(
    send: Send, receiving: Receiving, begin_call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    receiving.rule = lambda event, tries: 503 if tries < 4 else 200
    call = await begin_call("CA1")
    await call.say("a secret")
    with caplog.at_level(logging.DEBUG, "transcriber.webhooks"):
        async with send() as sending:
            await until(lambda: _is(sending.metric("events_total", outcome="delivered"), 1))
    assert caplog.text.count("the receiver does not take every event (503)") == 1
    assert caplog.text.count("the receiver takes events") == 1
    assert "secret" not in caplog.text
    assert receiving.url not in caplog.text


async def test_thousands_of_dead_letters_are_replayed(store: RedisStore, receiving: Receiving) -> None:
    """Their calls were deleted: the letters go, and none of them waits too long for its turn at Redis."""
    dead_letters = DeadLetters(store.client, store.keys, name=NAME, ttl_s=0)
    letter = json.dumps({"reason": "500", "attempts": 3, "at": "2026-11-27T05:00:00.000Z"})
    key = f"{store.keys.webhook(NAME)}:dead"
    await store.client.hset(key, mapping={f"CA{number}:3": letter for number in range(MANY)})
    async with WebhookClient(receiving.url, [key_of(SECRET)], timeout_s=10.0, concurrency=8) as client:
        result = await redeliver_dead_letters(dead_letters, client)
    assert (result.delivered, result.kept, result.lost) == (0, 0, MANY)
    assert await dead_letters.count() == 0


async def test_what_a_sender_with_a_clock_ahead_has_settled_is_not_believed(
    store: RedisStore, receiving: Receiving, send: Any, begin_call: Any
) -> None:
    async with send():
        pass
    ahead_ms = time.time_ns() // 1_000_000 + 40 * 86_400_000
    await store.client.hset(store.keys.webhook(NAME), "settled_ms", str(ahead_ms))
    call = await begin_call("CA1")
    await call.say("while no sender ran")
    await call.end()
    async with send():
        await receiving.until(lambda: receiving.texts("CA1") == ["while no sender ran", "end"])

        async def corrected() -> bool:
            return int(await store.client.hget(store.keys.webhook(NAME), "settled_ms") or 0) < ahead_ms

        await until(corrected)
