"""Whoever reads long histories, and however many do: other requests and writes go on between."""

import asyncio
import json
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

import pytest

from tests.web.conftest import Client, WebClient
from tests.web.test_call_events import reading
from tests.web.written_call import WrittenCall
from transcriber.runtime.time_slices import TimeSlices
from transcriber.store.redis.client import READING_CONNECTIONS
from transcriber.store.redis_store import RedisStore, open_store
from transcriber.web.limits.history_reads import MAX_CONCURRENT, MAX_WAITING, ReadLimits

FINALS = 1500
WITHIN_S = 60
LONG = (
    "/v1/calls/CA1/transcript",
    "/v1/calls/CA1/transcript?format=vtt",
    "/v1/calls/CA1/transcript?format=csv",
    "/v1/calls?q=hello&limit=200",
    "/v1/calls/CA1/events",
)


@pytest.fixture
async def long_call(begin_call: Any, store: RedisStore) -> WrittenCall:
    """An ended call of very many finals: the last ones are copies, written at once."""
    call: WrittenCall = await begin_call("CA1")
    await call.say("hello this is a long call")
    await call.end()
    *_, final, _, end = [json.loads(text) for text in await store.history.events("CA1")]
    pipeline = store.client.pipeline(transaction=False)
    for seq in range(end["seq"] + 1, FINALS):
        event = final | {"seq": seq, "start_ms": 2000 * seq, "end_ms": 2000 * seq + 1500}
        pipeline.xadd(store.keys.events("CA1"), {"event": json.dumps(event)}, id=f"{seq}-0")
    await pipeline.execute()
    return call


@pytest.mark.usefixtures("long_call")
@pytest.mark.parametrize("path", LONG)
async def test_health_is_answered_again_and_again_while_a_history_is_read(
    web_client: WebClient, redis_url: str, store: RedisStore, path: str
) -> None:
    """Whatever the machine's speed: every item ends a slice."""
    async with await open_store(redis_url, prefix=store.keys.prefix, ttl_s=3600, slice_s=0.0) as sliced:
        client = await web_client({"history": sliced.history, "read_limits": ReadLimits(slice_s=0.0)})
        await _health_is_answered(client, path)


async def _health_is_answered(client: Client, path: str) -> None:

    async def whole() -> bytes:
        answer = await client.get(path)
        assert answer.status == 200
        return await answer.read()

    async with asyncio.timeout(WITHIN_S):
        long = asyncio.create_task(whole())
        answered = 0
        while not long.done():
            assert (await client.get("/healthz")).status == 200
            answered += 1
    assert b"hello" in await long
    assert answered >= 100


@pytest.mark.usefixtures("long_call")
async def test_a_long_transcript_is_whole_in_every_way_of_reading_it(web_client: WebClient) -> None:
    client = await web_client()
    found: dict[str, Any] = await (await client.get("/v1/calls/CA1/transcript")).json()
    assert [each["seq"] for each in found["utterances"]] == [3, *range(6, FINALS)]
    lines = (await (await client.get("/v1/calls/CA1/transcript?format=txt")).text()).splitlines()
    assert len(lines) == len(found["utterances"])
    sent = await (await reading(client)).rest()
    assert [each.number for each in sent] == list(range(1, FINALS))
    [call] = (await (await client.get("/v1/calls?q=hello")).json())["calls"]
    assert (call["match_count"], [match["seq"] for match in call["matches"]]) == (len(lines), [3, 6, 7])


async def test_writes_go_on_while_every_reading_connection_is_taken(begin_call: Any, store: RedisStore) -> None:
    call: WrittenCall = await begin_call("CA1")

    async def read() -> None:
        await store.reading.execute_command("BLPOP", f"{store.keys.prefix}:none", 1)

    readers = [asyncio.create_task(read()) for _ in range(40)]
    async with asyncio.timeout(WITHIN_S):
        while (await store.client.info("clients"))["blocked_clients"] < READING_CONNECTIONS:
            pass
        await asyncio.gather(*(call.publish_partial(f"draft {number}") for number in range(20)))
        await call.say("written all the same")
        assert not any(reader.done() for reader in readers)
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)


async def test_too_many_readers_are_asked_to_come_back(web_client: WebClient, begin_call: Any) -> None:
    await (await begin_call("CA1")).end()
    read_limits = ReadLimits()
    client = await web_client({"read_limits": read_limits})
    async with AsyncExitStack() as stack:
        for _ in range(MAX_CONCURRENT):
            await stack.enter_async_context(read_limits.slot())
        waiting = [asyncio.create_task(client.get("/v1/calls?q=hello")) for _ in range(MAX_WAITING)]
        answers = await _until_refused(client)
        assert answers["error"]["code"] == "busy"
        assert (await client.get("/healthz")).status == (await client.get("/v1/calls/CA1")).status == 200
    assert [answer.status for answer in await asyncio.gather(*waiting)] == [200] * MAX_WAITING
    assert (await client.get("/v1/calls/CA1/transcript")).status == 200


async def _until_refused(client: Client) -> Any:
    """The first refusal; those before it joined the line and left it again."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            asked = asyncio.create_task(client.get("/v1/calls/CA1/transcript"))
            await asyncio.wait({asked, asyncio.create_task(_some_rounds(client))}, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                answer = asked.result()
                assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
                return await answer.json()
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)


async def _some_rounds(client: Client) -> None:
    for _ in range(5):
        await client.get("/healthz")


async def test_searches_and_long_transcripts_cost_more_than_one(web_client: WebClient, begin_call: Any) -> None:
    await (await begin_call("CA1")).end()
    client = await web_client(api_keys=("a-key",), rate_per_key=25)
    key = {"X-API-Key": "a-key"}
    asked = [(await client.get("/v1/calls?q=hello", headers=key)).status for _ in range(4)]
    assert asked == [200, 200, 200, 429]


async def test_work_of_several_goes_in_turns() -> None:
    ours, done = TimeSlices(slice_s=0), list[str]()

    async def other() -> None:
        while len(done) - done.count("other") < 6:
            done.append("other")
            await asyncio.sleep(0)

    one = ours.collect(map(done.append, ("one 0", "one 1", "one 2")))
    two = ours.collect(map(done.append, ("two 0", "two 1", "two 2")))
    await asyncio.gather(one, two, other())
    assert [word for word in done if word != "other"] == ["one 0", "two 0", "one 1", "two 1", "one 2", "two 2"]
    worked = [word.split()[0] != "other" for word in done]
    assert not any(a and b for a, b in pairwise(worked))  # and nobody had two in a row
