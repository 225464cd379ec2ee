"""Readers of live events that do not read."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from tests.web.conftest import Client, WebClient
from tests.web.test_live import numbers, reading
from transcriber.web.services import Services

LONG = "secret" * 5000


@contextmanager
def deaf_reader(client: Client, path: str) -> Iterator[socket.socket]:
    """Asks and never reads; its buffer is as small as the system allows."""
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        deaf.connect((client.host, client.port))
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
    web_client: WebClient, begin_call: Any, services: Services, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    client = await web_client({"viewer_patience_s": 0.3})
    call = await begin_call()
    said = 0

    def dropped() -> float | None:
        return services.metrics.registry.get_sample_value("transcriber_viewers_dropped_total")

    with deaf_reader(client, path) as deaf, caplog.at_level(logging.WARNING):
        well = await reading(client, "/v1/calls/CA1/events?partials=0")
        await well.take(2)
        async with asyncio.timeout(20):
            while not dropped():
                await call.say(LONG)
                said += 1
                assert numbers(await well.take(1)) == [said + 2]
        assert "took nothing for 0.3 s" in caplog.text
        assert "secret" not in caplog.text
        assert not everything_from(deaf).endswith(b"0\r\n\r\n"), "it must not look complete"
    await call.end()
    assert len(await well.rest()) == 2


async def test_a_reader_that_reads_slowly_stays(web_client: WebClient, begin_call: Any, services: Services) -> None:
    call = await begin_call()
    for _ in range(50):
        await call.say(LONG)
    await call.end()
    slow = await reading(await web_client({"viewer_patience_s": 5.0}))
    for number in range(1, 55):
        assert numbers(await slow.take(1)) == [number]
    assert services.metrics.registry.get_sample_value("transcriber_viewers_dropped_total") == 0
