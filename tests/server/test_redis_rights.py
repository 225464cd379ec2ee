"""Redis users with few rights: those the README recommends, none to publish, none to write an index."""

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from bench.own_redis import OwnRedis, own_redis
from tests.sample_events import until
from tests.server.conftest import Serve
from tests.server.troubled import (
    RECOMMENDED,
    WITHIN_S,
    events_of,
    get,
    master,
    metric,
    numbers,
    over,
    owner_says,
    says,
    spoken,
    state,
    user,
)
from tests.webhooks.conftest import Receiving, command, receiving
from transcriber.server.tuning import Tuning
from transcriber.store.keys import Keys
from transcriber.store.redis.acl_check import commands

__all__ = ["receiving"]


@pytest.fixture
async def redis() -> AsyncIterator[OwnRedis]:
    """A redis-server of this test's own."""
    async with own_redis() as server:
        yield server


async def test_the_rights_that_the_readme_recommends_are_enough(
    serve: Serve, redis: OwnRedis, receiving: Receiving
) -> None:
    url = await user(redis, *RECOMMENDED)
    running = await serve(redis_url=url, redis_prefix="transcripts")
    async with command(receiving.url, "--all", url=url, prefix="transcripts"):
        call_sid = await spoken(running)
        events = await over(running, call_sid)
        await receiving.until(lambda: receiving.texts(call_sid)[-1:] == ["end"])
    finals = [event for event in events if event["type"] == "final"]
    assert finals
    word = finals[0]["text"].split()[0]
    assert [call["call_sid"] for call in (await get(running, f"/v1/calls?q={word}"))[1]["calls"]] == [call_sid]
    assert await state(running) == (200, "ready", {})
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{running.server.url}/v1/calls/{call_sid}/events") as answer:
            assert f'"text":{json.dumps(finals[0]["text"])}' in await asyncio.wait_for(answer.text(), WITHIN_S)
        async with session.delete(f"{running.server.url}/v1/calls/{call_sid}") as answer:
            assert answer.status == 204
    async with master(redis) as client:
        assert [key async for key in client.scan_iter() if not str(key).startswith("transcripts:")] == []


SOON = Tuning(index_repair_s=0.05)
"""Repairs are tried often."""

RECORD = ("~transcripts:{CA*", "~transcripts:probe:*", "&transcripts:*", "+@all", "-@dangerous")
LISTS = ("~transcripts:calls", "~transcripts:calls:live", "~transcripts:leases")


@pytest.mark.parametrize(
    ("rules", "refused"),
    [
        ((*RECORD, *LISTS, "~transcripts:unindexed"), {"search"}),
        ((*RECORD, "~transcripts:{transcripts:search}:*"), {"calls", "live", "leases", "unindexed"}),
    ],
)
async def test_an_index_that_is_refused_keeps_no_word_from_the_record_and_is_repaired(
    serve: Serve, redis: OwnRedis, rules: tuple[str, ...], refused: set[str]
) -> None:
    url = await user(redis, *rules)
    running = await serve(tuning=SOON, redis_url=url, redis_prefix="transcripts", rate_per_address=0)
    call_sid = await spoken(running)
    events = await over(running, call_sid)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    word = next(event["text"] for event in events if event["type"] == "final").split()[0]
    await says(running, 200, "degraded", **dict.fromkeys(refused, "refused"))
    assert await metric(running, "transcriber_index_failures_total")
    await user(redis, *RECOMMENDED)

    async def repaired() -> bool:
        found = [(await get(running, path))[1]["calls"] for path in ("/v1/calls", f"/v1/calls?q={word}")]
        return all([call["call_sid"] for call in calls] == [call_sid] for calls in found)

    await until(repaired, within_s=WITHIN_S)

    await says(running, 200, "ready")


async def test_what_may_not_be_published_is_kept_and_told(
    serve: Serve, redis: OwnRedis, receiving: Receiving, caplog: pytest.LogCaptureFixture
) -> None:
    url = await user(redis, "~transcripts:*", "+@all", "-@dangerous")
    running = await serve(redis_url=url, redis_prefix="transcripts", rate_per_address=0)
    async with command(receiving.url, "--all", url=url, prefix="transcripts"):
        async with running.phone.call("08_short_wrong_department") as call:
            await running.known(call.call_sid)
            async with events_of(running, call.call_sid) as reader:
                await call.play()
                assert await call.hang_up() == 1000
                lines = await asyncio.wait_for(reader.read(), WITHIN_S)
        events = await over(running, call.call_sid)
        await receiving.until(lambda: receiving.texts(call.call_sid)[-1:] == ["end"])
    assert numbers(lines) == [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert b": live events are not available (refused)" in lines
    assert await state(running) == (200, "degraded", {"channels": "refused", "subscription": "refused"})
    assert await metric(running, "transcriber_publish_failures_total") >= len(events)
    assert sum("channels:" in record.message for record in caplog.records) == 1
    async with events_of(running, call.call_sid) as reader:  # of a call that is over
        assert numbers(await asyncio.wait_for(reader.read(), WITHIN_S)) == numbers(lines)
    await user(redis, *RECOMMENDED)
    await spoken(running)

    await says(running, 200, "ready")


async def test_what_check_tries_is_all_that_is_used(serve: Serve, redis: OwnRedis, receiving: Receiving) -> None:
    rules = {f"+{words[0].split()[0].lower()}" for words in commands(Keys("transcripts"), "x")}
    channels = ("+publish", "+subscribe", "+psubscribe", "+unsubscribe", "+punsubscribe")
    url = await user(redis, "~transcripts:*", "&transcripts:*", *rules, *channels)
    receiving.rule = lambda event, tries: 400 if event["type"] == "final" and len(receiving.tried) < 4 else 200
    running = await serve(redis_url=url, redis_prefix="transcripts", rate_per_address=0)
    async with command(receiving.url, "--all", url=url, prefix="transcripts"):
        call_sid = await spoken(running)
        await over(running, call_sid)
        await receiving.until(lambda: receiving.texts(call_sid)[-1:] == ["end"])
    for path in ("/v1/calls", "/v1/calls?status=live", "/v1/calls?q=hel*", f"/v1/calls/{call_sid}/transcript"):
        assert (await get(running, path))[0] == 200
    for arguments in (("--dead",), ("--replay",), ("--discard",)):
        async with command(receiving.url, *arguments, url=url, prefix="transcripts") as child:
            out, _ = await asyncio.wait_for(child.communicate(), WITHIN_S)
            assert child.returncode == 0, out
    async with aiohttp.ClientSession() as session:
        await session.post(f"{running.server.url}/v1/twiml", data={"CallSid": "CA1"})
        async with session.delete(f"{running.server.url}/v1/calls/{call_sid}") as answer:
            assert answer.status == 204
    assert await state(running) == (200, "ready", {})
    refused = [entry["object"] for entry in await owner_says(redis, "ACL LOG") if entry["reason"] == "command"]
    assert [name for name in refused if name.partition("|")[0] != "client"] == []  # redis-py's own, which it may lack
