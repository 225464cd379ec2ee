"""Several servers on one port, as processes: who gets a connection, what is left behind, what they have in common."""

import asyncio
import secrets
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.phone import Phone
from tests.process import WITHIN_S, command, process, wait_for_line, wait_until_ready
from tests.server.test_tls import Issuer
from transcriber.server.listeners import bind
from transcriber.settings.definition import Settings

CALLS = 24
"""That all of them go to one of two servers happens once in eight millions."""


class Instances:
    """Servers that share a port, a Redis and a prefix; each has its own data directory and port for metrics."""

    def __init__(self, stack: AsyncExitStack, redis_url: str, folder: Path) -> None:
        self.port = 0
        self._stack = stack
        self._folder = folder
        self._environment = {
            "TRANSCRIBER_REDIS_URL": redis_url,
            "TRANSCRIBER_REDIS_PREFIX": f"test{secrets.token_hex(4)}",
            "TRANSCRIBER_REUSE_PORT": "1",
            "TRANSCRIBER_METRICS_ADDRESS": "127.0.0.1:0",
            "TRANSCRIBER_MAX_TRACKS": "100",
            "TRANSCRIBER_WORKERS": "1",
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, **more: str) -> tuple[Process, str]:
        """One more, and the address of its metrics."""
        data_dir = self._folder / secrets.token_hex(4)
        environment = self._environment | {"TRANSCRIBER_DATA_DIR": str(data_dir)} | more
        server = await self._stack.enter_async_context(process("--port", str(self.port), **environment))
        metrics = (await wait_for_line(server, b"metrics: on ")).split()[-1].decode()
        url = await wait_until_ready(server)
        self.port = urlsplit(url).port or 0
        return server, metrics


@pytest.fixture
async def instances(redis_url: str, tmp_path: Path) -> AsyncIterator[Instances]:
    async with AsyncExitStack() as stack:
        yield Instances(stack, redis_url, tmp_path)


@asynccontextmanager
async def new_connections() -> AsyncIterator[aiohttp.ClientSession]:
    """Each request on a connection of its own."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        yield session


async def json_of(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def carried(*addresses: str, metric: str = "transcriber_streams_total", expected: int = CALLS) -> list[int]:
    """A metric of each server, as soon as they are so many together."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(WITHIN_S):
        while True:
            found = []
            for address in addresses:
                async with session.get(address) as response:
                    lines = (await response.text()).splitlines()
                found.append(round(sum(float(line.split()[-1]) for line in lines if line.startswith(metric))))
            if sum(found) >= expected:
                return found
            await asyncio.sleep(0.05)


async def short_call(url: str) -> str:
    """Its CallSid, after the server has closed as it should."""
    async with Phone(url).call() as call:
        await call.play(100)
        assert await call.hang_up() == 1000
        return call.call_sid


async def wait_until_ended(server: Process) -> bytes:
    """All that it still writes."""
    assert server.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        written = await server.stdout.read()
        assert await server.wait() == 0, written
    return written


async def test_calls_spread_and_every_server_has_the_whole_history(instances: Instances) -> None:
    _, first_metrics = await instances.start()
    _, second_metrics = await instances.start()
    call_sids = await asyncio.gather(*(short_call(instances.url) for _ in range(CALLS)))
    streams = await carried(first_metrics, second_metrics)
    assert sum(streams) == CALLS
    assert min(streams) > 0
    async with new_connections() as session:
        for _ in range(12):  # whichever answers
            listed = await json_of(session, f"{instances.url}/v1/calls?limit=100")
            assert sorted(one["call_sid"] for one in listed["calls"]) == sorted(call_sids)
            assert {one["status"] for one in listed["calls"]} == {"ended"}


async def test_one_leaves_and_no_call_or_connection_notices(instances: Instances) -> None:
    leaving, _ = await instances.start()
    async with Phone(instances.url).call() as long_call:
        await long_call.play(500)  # on the only one that there was
        await instances.start()
        begun, left = asyncio.Event(), asyncio.ensure_future(wait_for_line(leaving, b"left the port"))

        async def call_again_and_again() -> None:
            while not left.done():
                await short_call(instances.url)
                begun.set()

        clients = [asyncio.create_task(call_again_and_again()) for _ in range(8)]
        await begun.wait()
        leaving.send_signal(signal.SIGTERM)
        assert await left
        await asyncio.gather(*clients)
        await asyncio.gather(*(short_call(instances.url) for _ in range(CALLS)))  # the one that leaves refuses them
        await long_call.play(500)
        assert await long_call.hang_up() == 1000
    await wait_until_ended(leaving)


@pytest.mark.parametrize("tls", [False, True])
async def test_connections_in_the_queue_of_one_that_leaves_are_answered(
    instances: Instances, tmp_path: Path, *, tls: bool
) -> None:
    issuer = Issuer(tmp_path)
    issuer.issue("localhost.example")
    more = {f"TRANSCRIBER_{name.upper()}": value for name, value in issuer.settings.items()} if tls else {}
    leaving, _ = await instances.start(**more)
    await instances.start(**more)
    leaving.send_signal(signal.SIGSTOP)  # it accepts nobody
    async with new_connections() as session:

        async def ask() -> int:
            url = f"{'https' if tls else 'http'}://127.0.0.1:{instances.port}/healthz"
            async with session.get(url, ssl=issuer.trust) as answer:
                return answer.status

        asking = [asyncio.create_task(ask()) for _ in range(CALLS)]
        done: set[asyncio.Task[int]] = set()
        async with asyncio.timeout(WITHIN_S):
            while len(done) + queued(instances.port) < CALLS:
                done, _ = await asyncio.wait(asking, timeout=0.05)
        assert len(done) < CALLS, "none waits at the one that was stopped"
        leaving.send_signal(signal.SIGTERM)
        leaving.send_signal(signal.SIGCONT)
        assert await asyncio.gather(*asking) == [200] * CALLS
    await wait_until_ended(leaving)


def queued(port: int) -> int:
    """Connections that wait in the queues of the sockets that listen on the port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = (row for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A")
    return sum(int(row[4].split(":")[1], 16) for row in listening)


async def test_one_that_starts_gets_no_connection_before_it_is_ready(instances: Instances, redis_url: str) -> None:
    await instances.start()
    settings = Settings(port=instances.port, reuse_port=True, redis_url=redis_url)
    async with AsyncExitStack() as stack, new_connections() as session:
        bind(settings, stack)
        for _ in range(CALLS):
            await json_of(session, f"{instances.url}/healthz")


async def test_a_sample_call_is_taken_by_whichever_server_answers(instances: Instances) -> None:
    key = "k" * 24
    _, first_metrics = await instances.start(TRANSCRIBER_API_KEYS=key)
    _, second_metrics = await instances.start(TRANSCRIBER_API_KEYS=key)
    async with new_connections() as session:
        for _ in range(4):
            answer = await session.post(f"{instances.url}/v1/sample-calls", headers={"X-API-Key": key})
            assert answer.status == 202
    assert sum(await carried(first_metrics, second_metrics, metric="transcriber_streams_live", expected=4)) == 4


async def test_a_port_in_use_is_told_with_what_would_share_it(redis_url: str, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as stranger:
        port = str(stranger.getsockname()[1])
        status, written = await command(
            "serve",
            TRANSCRIBER_PORT=port,
            TRANSCRIBER_REUSE_PORT="1",
            TRANSCRIBER_REDIS_URL=redis_url,
            TRANSCRIBER_DATA_DIR=str(tmp_path),
        )
    assert status == 2
    assert written == (
        f"transcriber: cannot listen on 127.0.0.1 port {port}: Address already in use by a program that does not share "
        "it; every server on it needs TRANSCRIBER_REUSE_PORT=1\n"
    )
