"""Peers that are slow, silent or gone: each is let go in time, and a healthy call beside them loses nothing."""

import asyncio
import json
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.models import ProcessOf
from tests.server.conftest import Running, Serve, serving
from tests.server.test_tls import Issuer
from transcriber.server.tuning import Tuning
from transcriber.web.limits.client_limits import ClientLimits, most_connections

SOON_S = 1.0
"""Longer than a healthy peer takes beside other work on the same cores."""
LIMITS = ClientLimits(head_s=SOON_S, write_s=SOON_S, handshake_s=SOON_S, body_s=SOON_S, check_every_s=0.05)


@pytest.fixture
async def serve(redis_url: str, tmp_path: Path, process_of: ProcessOf) -> AsyncIterator[Serve]:
    """Starts servers with these limits."""
    async with serving(redis_url, tmp_path, process_of, tuning=Tuning(client_limits=LIMITS)) as start:
        yield start


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(running: Running) -> AsyncIterator[Streams]:
    """A bare TCP connection."""
    address = urlsplit(running.server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What came until the server closed or cut the connection."""
    got = b""
    async with asyncio.timeout(20):
        try:
            while more := await reader.read(65_536):
                got += more
        except ConnectionError:
            pass
    return got


def cut(running: Running, why: str) -> float:
    registry = running.server.services.metrics.registry
    return registry.get_sample_value("transcriber_connections_cut_total", {"reason": why}) or 0.0


@pytest.mark.parametrize("begun", [b"", b"GET /v1/media HT", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_request_that_does_not_come_is_not_waited_for(serve: Serve, begun: bytes) -> None:
    running = await serve()
    async with running.phone.call() as healthy, connected(running) as (reader, writer):
        writer.write(begun)
        await healthy.play(3000)
        assert await ended(reader) == b""
        assert cut(running, "no_request") == 1
        await healthy.play(3000)
        assert await healthy.hang_up() == 1000


async def test_a_head_that_drips_is_cut_however_lively(serve: Serve) -> None:
    running = await serve()
    async with connected(running) as (reader, writer):

        async def drip() -> None:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            while not writer.is_closing():
                writer.write(b"x")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        assert await ended(reader) == b""
        dripping.cancel()
    assert cut(running, "no_request") == 1


async def test_a_second_request_that_drips_is_cut_and_an_idle_connection_is_not(serve: Serve) -> None:
    running = await serve()
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with connected(running) as (reader, writer), connected(running) as (idle, idler):
        for sending, receiving in ((writer, reader), (idler, idle)):
            sending.write(head)
            assert b'"alive"' in await receiving.readuntil(b"}")
        writer.write(b"GET /healthz")
        assert await ended(reader) == b""
        assert cut(running, "no_request") == 1
        idler.write(head)
        assert b'"alive"' in await idle.readuntil(b"}")


async def test_a_body_that_drips_is_408(serve: Serve) -> None:
    running = await serve()
    async with connected(running) as (reader, writer):
        head = b"POST /v1/twiml HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
        writer.write(head + b"Content-Type: application/x-www-form-urlencoded\r\n\r\nCallSid=")
        answer = await ended(reader)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"too_slow"' in answer


async def test_a_tls_handshake_that_does_not_come_is_not_waited_for(serve: Serve, tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    issuer.issue("localhost")
    running = await serve(**issuer.settings)
    async with connected(running) as (reader, writer):
        writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        await ended(reader)
    assert "localhost" in await issuer.shown(running.server.url)


async def test_a_reader_that_does_not_read_is_cut_and_another_one_misses_nothing(serve: Serve) -> None:
    # Ten megabytes are on their way to the other one.
    running = await serve(tuning=Tuning(client_limits=replace(LIMITS, write_s=5 * SOON_S)))
    address = urlsplit(running.server.url)
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    deaf.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(deaf, (address.hostname, address.port))
    await loop.sock_sendall(deaf, b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with connected(running) as (reader, writer):
        writer.write(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"retry:")
        heard = bytearray()

        async def listen() -> None:
            while more := await reader.read(65_536):
                heard.extend(more)

        listening = asyncio.create_task(listen())
        channel = f"{running.server.settings.redis_prefix}:CA1:final"
        event = json.dumps({"type": "final", "text": "word " * 20_000})
        async with asyncio.timeout(20):
            while b"event: dtmf" not in heard:  # the answer begins before Redis has confirmed the subscription
                await running.server.store.client.publish(channel, '{"type":"dtmf"}')
                await asyncio.sleep(0.01)
        for _ in range(100):  # more than the kernel's buffers take
            await running.server.store.client.publish(channel, event)
        async with asyncio.timeout(90):
            while not cut(running, "not_read") or heard.count(b"event: final") < 100:  # noqa: ASYNC110 - bounded
                await asyncio.sleep(0.01)
        assert heard.count(b"event: final") == 100, "the other one's, each once"
        listening.cancel()
    deaf.close()


async def test_when_all_places_are_taken_the_silent_make_room(serve: Serve) -> None:
    running = await serve(tuning=Tuning(client_limits=replace(LIMITS, head_s=60, connections=20)))
    async with running.phone.call() as healthy:
        await running.live(1)
        silent = [
            await asyncio.open_connection(urlsplit(running.server.url).hostname, urlsplit(running.server.url).port)
            for _ in range(40)
        ]
        async with running.phone.call() as late:
            for call in (healthy, late):
                await call.play(2000)
                assert await call.hang_up() == 1000
        assert cut(running, "full") >= 21
        for _, writer in silent:
            writer.transport.abort()


def test_files_are_kept_in_reserve() -> None:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 0 < most_connections() < files
