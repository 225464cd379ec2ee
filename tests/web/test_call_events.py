"""Server-Sent Events: no hole, no repeat, whatever happens between history and live."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientPayloadError, ClientResponse

from tests.web.conftest import Client, WebClient
from tests.web.written_call import WrittenCall
from transcriber.errors import StoreError
from transcriber.store.ports import Feed, PublishedEvent
from transcriber.store.redis_store import RedisStore

WITHIN_S = 10


@dataclass(frozen=True, slots=True)
class Sent:
    """One event as it came: id and type of the wire, data parsed; a comment has only its text."""

    number: int | None
    kind: str
    data: Any


class Reader:
    """Reads an answer event by event; `next` fails when nothing comes in time, and gives None at its end."""

    def __init__(self, answer: ClientResponse) -> None:
        assert answer.status == 200
        self.answer = answer

    async def next(self, *, comments: bool = False) -> Sent | None:
        async with asyncio.timeout(WITHIN_S):
            while True:
                fields: dict[str, str] = {}
                while line := (await self.answer.content.readline()).decode():
                    if line == "\n":
                        break
                    name, _, value = line.rstrip("\n").partition(":")
                    fields[name] = value.strip()
                if not fields:
                    return None
                if comments and "" in fields:
                    return Sent(None, "comment", fields[""])
                if "data" in fields:
                    number = int(fields["id"]) if "id" in fields else None
                    return Sent(number, fields["event"], json.loads(fields["data"]))

    async def take(self, count: int) -> list[Sent]:
        found = [await self.next() for _ in range(count)]
        return [sent for sent in found if sent is not None]

    async def rest(self) -> list[Sent]:
        found = []
        while (sent := await self.next()) is not None:
            found.append(sent)
        return found


async def reading(client: Client, path: str = "/v1/calls/CA1/events", **headers: str) -> Reader:
    return Reader(await client.get(path, headers={key.replace("_", "-"): value for key, value in headers.items()}))


def numbers(sent: Sequence[Sent]) -> list[int | None]:
    return [each.number for each in sent]


class ThisFeed:
    """The real feed, with a hand on what it does; each time it is followed, the next trick is played."""

    def __init__(self, feed: Feed, *tricks: Callable[[], Coroutine[Any, Any, None]], lose: str = "") -> None:
        self._feed = feed
        self._tricks = list(tricks)
        self._lose = lose
        self.followed = 0

    @asynccontextmanager
    async def follow(
        self, call_sid: str | None = None, *, partials: bool = True
    ) -> AsyncIterator[AsyncIterator[PublishedEvent]]:
        self.followed += 1
        async with self._feed.follow(call_sid, partials=partials) as messages:
            if self._tricks:
                await self._tricks.pop(0)()
            yield self._picked(messages)

    async def _picked(self, messages: AsyncIterator[PublishedEvent]) -> AsyncIterator[PublishedEvent]:
        async for message in messages:
            if self._lose and self._lose in message.json:
                continue
            if "break the feed" in message.json:
                raise StoreError("the connection is gone")
            if "end the feed" in message.json:
                return
            yield message


async def test_an_ended_call_is_told_and_over(web_client: WebClient, begin_call: Any) -> None:
    call = await begin_call()
    await call.say("hello")
    await call.end()
    reader = await reading(await web_client())
    assert reader.answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert reader.answer.headers["Cache-Control"] == "no-cache"
    assert reader.answer.headers["X-Accel-Buffering"] == "no"
    sent = await reader.rest()
    assert numbers(sent) == [1, 2, 3, 4, 5]
    assert [each.kind for each in sent] == ["call.started", "stream.started", "final", "stream.stopped", "call.ended"]
    assert all(each.data["seq"] == each.number and each.data["type"] == each.kind for each in sent)


async def test_history_then_live_until_the_end(web_client: WebClient, begin_call: Any) -> None:
    call = await begin_call()
    await call.say("before")
    reader = await reading(await web_client())
    assert numbers(await reader.take(3)) == [1, 2, 3]
    await call.publish_partial("aft")
    partial = await reader.next()
    assert partial is not None
    assert (partial.number, partial.kind, partial.data["text"]) == (None, "partial", "aft")
    await call.say("after")
    await call.end()
    assert numbers(await reader.rest()) == [4, 5, 6]


async def test_partials_can_be_left_out(web_client: WebClient, begin_call: Any) -> None:
    call = await begin_call()
    reader = await reading(await web_client(), "/v1/calls/CA1/events?partials=0")
    await reader.take(2)
    await call.publish_partial("unwanted")
    await call.say("wanted")
    await call.end()
    assert [sent.kind for sent in await reader.rest()] == ["final", "stream.stopped", "call.ended"]


async def test_resuming_after_an_event(web_client: WebClient, begin_call: Any) -> None:
    call = await begin_call()
    for word in ("one", "two", "three"):
        await call.say(word)
    await call.end()
    sent = await (await reading(await web_client(), Last_Event_ID="4")).rest()
    assert numbers(sent) == [5, 6, 7]


async def test_resuming_after_the_last_event_ends_at_once(web_client: WebClient, begin_call: Any) -> None:
    call = await begin_call()
    await call.end()
    assert await (await reading(await web_client(), Last_Event_ID="4")).rest() == []


@pytest.mark.parametrize("given", ["x", "-1", "1.0", "9" * 16, "²"])
async def test_a_malformed_last_event_id_is_refused(web_client: WebClient, begin_call: Any, given: str) -> None:
    await begin_call()
    answer = await (await web_client()).get("/v1/calls/CA1/events", headers={"Last-Event-ID": given})
    assert answer.status == 400
    assert "Last-Event-ID" in (await answer.json())["error"]["message"]


async def test_what_comes_between_following_and_history_comes_once(
    web_client: WebClient, store: RedisStore, begin_call: Any
) -> None:
    call = await begin_call()

    async def meanwhile() -> None:
        await call.publish_partial("betw", utterance=1)
        await call.say("between")

    reader = await reading(await web_client({"feed": ThisFeed(store.feed, meanwhile)}))
    assert numbers(await reader.take(3)) == [1, 2, 3]
    await call.say("later")
    await call.end()
    sent = await reader.rest()
    assert numbers(sent) == [4, 5, 6]
    assert all(each.kind != "partial" for each in sent), "a partial after its final"


async def test_a_call_that_ends_while_its_history_is_read(
    web_client: WebClient, store: RedisStore, begin_call: Any
) -> None:
    call = await begin_call()
    reader = await reading(await web_client({"feed": ThisFeed(store.feed, call.end)}))
    assert numbers(await reader.rest()) == [1, 2, 3, 4]


async def test_a_call_that_is_resumed_while_its_history_is_read_goes_on(
    web_client: WebClient, store: RedisStore, begin_call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await begin_call()).end()
    summary = store.history.call
    resumed: list[WrittenCall] = []

    async def and_then_resumed(call_sid: str) -> Mapping[str, Any]:
        found = await summary(call_sid)
        if not resumed:
            resumed.append(await begin_call(stream_sid="MZ2"))
        return found

    async def from_now_on() -> None:
        monkeypatch.setattr(store.history, "call", and_then_resumed)

    reader = await reading(await web_client({"feed": ThisFeed(store.feed, from_now_on)}))
    assert numbers(await reader.take(6)) == [1, 2, 3, 4, 5, 6]
    await resumed[0].end()
    assert [(sent.number, sent.kind) for sent in await reader.rest()] == [(7, "stream.stopped"), (8, "call.ended")]


async def test_a_lost_message_is_read_from_the_history(
    web_client: WebClient, store: RedisStore, begin_call: Any
) -> None:
    call = await begin_call()
    reader = await reading(await web_client({"feed": ThisFeed(store.feed, lose='"lost"')}))
    await reader.take(2)
    await call.say("lost")
    await call.say("found")
    assert numbers(await reader.take(2)) == [3, 4]
    await call.end()
    assert numbers(await reader.rest()) == [5, 6]


@pytest.mark.parametrize("how", ["break the feed", "end the feed"])
async def test_a_feed_that_fails_is_followed_again(
    web_client: WebClient, store: RedisStore, begin_call: Any, how: str
) -> None:
    call = await begin_call()
    feed = ThisFeed(store.feed)
    reader = await reading(await web_client({"feed": feed, "sse_retry_s": 0.01}))
    await reader.take(2)
    await call.say(how)
    await call.say("after the trouble")
    await call.end()
    assert numbers(await reader.rest()) == [3, 4, 5, 6]
    assert feed.followed == 2


async def test_an_idle_reader_hears_a_heartbeat(web_client: WebClient, begin_call: Any) -> None:
    await begin_call()
    reader = await reading(await web_client({"heartbeat_s": 0.05}))
    await reader.take(2)
    beat = await reader.next(comments=True)
    assert beat is not None
    assert beat.kind == "comment"


async def test_an_end_nobody_published_is_noticed(web_client: WebClient, store: RedisStore, begin_call: Any) -> None:
    call = await begin_call()
    feed = ThisFeed(store.feed, lose='"type":"')
    reader = await reading(await web_client({"feed": feed, "heartbeat_s": 0.05}))
    await reader.take(2)
    await call.end()
    assert numbers(await reader.rest()) == [3, 4]


async def test_a_call_deleted_while_it_is_read_is_over(
    web_client: WebClient, store: RedisStore, begin_call: Any
) -> None:
    call = await begin_call()

    async def gone() -> None:
        await call.end()
        await store.history.delete("CA1")

    assert await (await reading(await web_client({"feed": ThisFeed(store.feed, gone)}))).rest() == []


async def test_an_unexpected_error_breaks_the_stream_and_writes_nothing_into_it(
    web_client: WebClient, store: RedisStore, begin_call: Any
) -> None:
    await begin_call()

    async def surprise() -> None:
        raise ZeroDivisionError

    reader = await reading(await web_client({"feed": ThisFeed(store.feed, surprise)}))
    with pytest.raises(ClientPayloadError):
        assert await reader.rest() == []


async def test_other_calls_are_not_heard(web_client: WebClient, begin_call: Any) -> None:
    call, other = await begin_call("CA1"), await begin_call("CA2")
    reader = await reading(await web_client())
    await reader.take(2)
    await other.say("not for you")
    await call.end()
    assert all(sent.data["call_sid"] == "CA1" for sent in await reader.rest())


async def test_a_reader_who_leaves_is_forgotten(web_client: WebClient, store: RedisStore, begin_call: Any) -> None:
    call = await begin_call()
    client = await web_client({"heartbeat_s": 0.02})
    reader = await reading(client)
    await reader.take(2)
    reader.answer.close()
    counted = 'transcriber_http_requests_total{method="GET",route="/v1/calls/{call_sid}/events"'
    async with asyncio.timeout(WITHIN_S):
        while counted not in await (await client.get("/metrics")).text():
            await call.say("anybody there")
    assert await store.history.events(call.call_sid)  # the call itself went on


async def test_readers_are_let_go_when_the_server_closes(web_client: WebClient, begin_call: Any) -> None:
    await begin_call()
    client = await web_client()
    readers = [await reading(client), await reading(client, "/v1/events")]
    await readers[0].take(2)
    async with asyncio.timeout(WITHIN_S):
        await client.server.close()
    for reader in readers:
        assert await reader.rest() == []


async def test_all_calls_live_only(web_client: WebClient, begin_call: Any) -> None:
    before = await begin_call("CA1")
    await before.say("history")
    reader = await reading(await web_client(), "/v1/events?partials=0")
    after = await begin_call("CA2")
    await after.publish_partial("unwanted")
    await after.say("hello")
    await before.say("still here")
    sent = await reader.take(4)
    assert [(each.data["call_sid"], each.kind) for each in sent] == [
        ("CA2", "call.started"),
        ("CA2", "stream.started"),
        ("CA2", "final"),
        ("CA1", "final"),
    ]
    assert numbers(sent) == [None] * 4


async def test_all_calls_with_partials(web_client: WebClient, begin_call: Any) -> None:
    call = await begin_call()
    reader = await reading(await web_client({"heartbeat_s": 0.05}), "/v1/events")
    assert (await reader.next(comments=True)) == Sent(None, "comment", "")
    await call.publish_partial("hel")
    (sent,) = await reader.take(1)
    assert (sent.kind, sent.data["text"]) == ("partial", "hel")


async def test_all_calls_survive_a_feed_that_fails(web_client: WebClient, store: RedisStore, begin_call: Any) -> None:
    call = await begin_call()
    feed = ThisFeed(store.feed)
    reader = await reading(await web_client({"feed": feed, "sse_retry_s": 0.01}), "/v1/events")
    await call.say("break the feed")
    async with asyncio.timeout(WITHIN_S):
        while feed.followed < 2:
            await reader.next(comments=True)
    await call.say("hello again")
    assert [sent.data["text"] for sent in await reader.take(1)] == ["hello again"]


@pytest.mark.parametrize(
    "query",
    ["lastEventId=3", "evs_last_event_id=3", "Last-Event-ID=3", "last-event-id=3", "lastEventId=1&lastEventId=3&_=9"],
)
async def test_a_stand_in_for_eventsource_resumes_by_its_query(
    web_client: WebClient, begin_call: Any, query: str
) -> None:
    call = await begin_call("CA1")
    await call.say("one")
    await call.say("two")
    await call.end()
    client = await web_client()
    sent = await (await reading(client, f"/v1/calls/CA1/events?{query}")).rest()
    assert numbers(sent) == [4, 5, 6]
    sent = await (await reading(client, f"/v1/calls/CA1/events?{query}", Last_Event_ID="5")).rest()
    assert numbers(sent) == [6]
    sent = await (await reading(client, f"/v1/calls/CA1/events?{query}&stamp=17&partials=0")).rest()
    assert numbers(sent) == [4, 5, 6]


@pytest.mark.parametrize("name", ["_", "r", "t", "ts", "cb", "nocache", "cacheBuster", "timestamp"])
@pytest.mark.parametrize("path", ["/v1/calls/CA1/events", "/v1/events"])
async def test_names_against_caches_are_no_matter(web_client: WebClient, begin_call: Any, path: str, name: str) -> None:
    await begin_call("CA1")
    answer = await (await web_client()).get(f"{path}?{name}=0.7131&{name}=1796083200000")
    assert (answer.status, answer.content_type) == (200, "text/event-stream")
    answer.close()


@pytest.mark.parametrize("query", ["padding=true", "evs_preamble=2056", "evs_preamble"])
async def test_old_browsers_get_their_padding(web_client: WebClient, begin_call: Any, query: str) -> None:
    await (await begin_call("CA1")).end()
    client = await web_client()
    text = await (await client.get(f"/v1/calls/CA1/events?{query}")).text()
    first, _, rest = text.partition("\n")
    assert first.startswith(":")
    assert len(first) > 2048
    assert first[1:].isspace()
    assert rest == await (await client.get("/v1/calls/CA1/events")).text()


@pytest.mark.parametrize(
    "query", ["partial=0", "lastEventIds=3", "lastEventId=three", "evs_last_event_id=-1", "partials="]
)
async def test_a_slip_of_the_pen_is_told_at_the_first_request(
    web_client: WebClient, begin_call: Any, query: str
) -> None:
    await (await begin_call("CA1")).end()
    answer = await (await web_client()).get(f"/v1/calls/CA1/events?{query}")
    assert answer.status == (200 if query == "partials=" else 400)
