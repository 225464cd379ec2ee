"""A Redis with an owner and a user of few rights, and what a server on it says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from redis.asyncio import Redis

from bench.own_redis import OwnRedis
from tests.sample_events import until
from tests.server.conftest import Event, Running

RECOMMENDED = ("~transcripts:*", "&transcripts:*", "+@all", "-@dangerous")
WITHIN_S = 20


@asynccontextmanager
async def master(redis: OwnRedis) -> AsyncIterator[Redis]:
    """Its owner, who may do everything."""
    async with Redis.from_url(redis.url, decode_responses=True) as client:
        yield client


async def user(redis: OwnRedis, *rules: str) -> str:
    """The URL of a user with these rights and no others."""
    async with master(redis) as client:
        await client.execute_command("ACL", "SETUSER", "calls", "reset", "resetchannels", "on", ">pw", *rules)  # type: ignore[no-untyped-call]
    return f"{redis.url}?username=calls&password=pw"


async def spoken(running: Running) -> str:
    """A whole call through the server; its CallSid."""
    async with running.phone.call("08_short_wrong_department") as call:
        await call.play()
        assert await call.hang_up() == 1000
    return call.call_sid


async def get(running: Running, path: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(running.server.url + path) as answer:
        return answer.status, await answer.json()


async def state(running: Running) -> tuple[int, str, dict[str, str]]:
    """What /readyz says."""
    status, body = await get(running, "/readyz")
    return status, body["status"], body.get("problems", {})


async def over(running: Running, call_sid: str) -> list[Event]:
    """The events of a call that has ended, read from its stream."""

    async def ended() -> bool:
        return bool((await running.known(call_sid))["status"] == "ended")

    await until(ended, within_s=WITHIN_S)
    return await running.events(call_sid)


@asynccontextmanager
async def events_of(running: Running, call_sid: str) -> AsyncIterator[aiohttp.StreamReader]:
    """Its Server-Sent Events."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
        session.get(f"{running.server.url}/v1/calls/{call_sid}/events?partials=0") as answer,
    ):
        assert answer.status == 200
        yield answer.content


def numbers(lines: bytes) -> list[int]:
    return [int(line[4:]) for line in lines.split(b"\n") if line.startswith(b"id: ")]


async def metric(running: Running, name: str) -> float:
    async with aiohttp.ClientSession() as session, session.get(running.server.url + "/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


async def owner_says(redis: OwnRedis, *words: str | int) -> Any:
    """A command of its owner."""
    async with master(redis) as client:
        return await client.execute_command(*words)  # type: ignore[no-untyped-call]


async def says(running: Running, status: int, said: str, **problems: str) -> None:
    """Until /readyz says so."""

    async def agrees() -> bool:
        return await state(running) == (status, said, problems)

    await until(agrees, within_s=WITHIN_S)
