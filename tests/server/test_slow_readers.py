"""Readers of live events that do not read, on a real server."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.server.conftest import Running, Serve
from tests.web.test_call_events import Reader, numbers
from tests.web.written_call import WrittenCall
from transcriber.server.tuning import Tuning
from transcriber.web.limits.client_limits import ClientLimits

LONG = "secret" * 5000


@contextmanager
def deaf_reader(running: Running, path: str) -> Iterator[socket.socket]:
    """Asks and never reads; its buffer is as small as the system allows."""
    address = urlsplit(running.server.url)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        deaf.connect((address.hostname, address.port))
        deaf.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        yield deaf


def everything_from(deaf: socket.socket) -> bytes:
    """What was on its way, now that it is read after all."""
    found = b""
    deaf.settimeout(10)
    with suppress(ConnectionError):
        while part := deaf.recv(1 << 20):
            found += part
    return found


@pytest.mark.parametrize("path", ["/v1/calls/CA1/events", "/v1/events"])
async def test_a_reader_that_never_reads_is_dropped_with_a_reason_and_disturbs_nobody(
    serve: Serve, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    running = await serve(tuning=Tuning(client_limits=ClientLimits(write_s=0.5, check_every_s=0.05)))
    call = await WrittenCall.begin(running.server.store.event_log, "CA1")
    said = 0
    with deaf_reader(running, path) as deaf, caplog.at_level(logging.INFO):
        async with aiohttp.ClientSession() as session:
            well = Reader(await session.get(f"{running.server.url}/v1/calls/CA1/events?partials=0"))
            await well.take(2)
            async with asyncio.timeout(30):
                while "took nothing of its answer for 0.5 s" not in caplog.text:
                    await call.say(LONG)
                    said += 1
                    assert numbers(await well.take(1)) == [said + 2]
            await call.end()
            assert len(await well.rest()) == 2
        assert not everything_from(deaf).endswith(b"0\r\n\r\n"), "it must not look complete"
    assert "secret" not in caplog.text


async def test_a_reader_that_reads_slowly_stays(serve: Serve) -> None:
    running = await serve(tuning=Tuning(client_limits=ClientLimits(write_s=5.0)))
    call = await WrittenCall.begin(running.server.store.event_log, "CA1")
    for _ in range(50):
        await call.say(LONG)
    await call.end()
    async with aiohttp.ClientSession() as session:
        slow = Reader(await session.get(f"{running.server.url}/v1/calls/CA1/events"))
        for number in range(1, 55):
            assert numbers(await slow.take(1)) == [number]
