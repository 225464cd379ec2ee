"""A server with PUBSUB=sharded, on Redis 7: readers get live events as before, but for the partials of all calls."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bench.own_redis import OwnRedis, own_redis
from tests.server.conftest import Serve
from tests.server.troubled import RECOMMENDED, WITHIN_S, get, numbers, over, state, user
from tests.webhooks.conftest import Receiving, command, receiving
from transcriber.cli import tail
from transcriber.errors import ConfigError
from transcriber.settings.definition import Settings
from transcriber.store.redis import binary

__all__ = ["receiving"]


@pytest.fixture
async def redis() -> AsyncIterator[OwnRedis]:
    async with own_redis() as server:
        yield server


@pytest.fixture
async def redis7(redis: OwnRedis) -> OwnRedis:
    if await binary.major_version(binary.find()) < 7:
        pytest.skip("redis-server 7 is not here")
    return redis


def types(lines: bytes) -> list[str]:
    return [line[7:].decode() for line in lines.split(b"\n") if line.startswith(b"event: ")]


@pytest.mark.redis7
async def test_a_call_reaches_all_its_readers(serve: Serve, redis7: OwnRedis, receiving: Receiving) -> None:
    url = await user(redis7, *RECOMMENDED)
    settings = Settings(redis_url=url, redis_prefix="transcripts", pubsub="sharded")
    running = await serve(redis_url=url, redis_prefix="transcripts", pubsub="sharded", rate_per_address=0)
    assert await state(running) == (200, "ready", {})
    address = running.server.url
    shown: list[dict[str, Any]] = []
    async with (
        command(receiving.url, "--all", url=url, prefix="transcripts", TRANSCRIBER_PUBSUB="sharded"),
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
        session.get(f"{address}/v1/events") as everything,
        running.phone.call("08_short_wrong_department") as call,
    ):
        await running.known(call.call_sid)
        following = asyncio.create_task(tail.follow(settings, call.call_sid, show=shown.append, report=print))
        async with session.get(f"{address}/v1/calls/{call.call_sid}/events") as one:
            await call.play()
            assert await call.hang_up() == 1000
            lines = await asyncio.wait_for(one.content.read(), WITHIN_S)
        await asyncio.wait_for(following, WITHIN_S)
        all_lines = b""
        while b"event: call.ended" not in all_lines:
            all_lines += await asyncio.wait_for(everything.content.readany(), WITHIN_S)
        events = await over(running, call.call_sid)
        await receiving.until(lambda: receiving.texts(call.call_sid)[-1:] == ["end"])
    assert numbers(lines) == [event["seq"] for event in events]
    assert "partial" in types(lines)
    assert types(all_lines) == [event["type"] for event in events]
    assert b": partials come at /v1/calls/{call_sid}/events" in all_lines
    assert shown[-1]["type"] == "call.ended"
    status, answer = await get(running, "/v1/events?partials=1")
    assert (status, answer["error"]["code"]) == (400, "bad_request")
    assert "sharded" in json.dumps(answer)


async def test_a_server_does_not_start_on_a_redis_that_is_too_old(
    serve: Serve, redis: OwnRedis, tmp_path: Path
) -> None:
    if await binary.major_version(binary.find()) >= 7:
        assert await serve(redis_url=redis.url, pubsub="sharded")
    else:
        with pytest.raises(ConfigError, match=r"TRANSCRIBER_PUBSUB=sharded needs Redis 7\.0 or newer"):
            await serve(redis_url=redis.url, pubsub="sharded")
