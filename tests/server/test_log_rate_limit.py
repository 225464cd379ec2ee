"""A stranger cannot fill the log: each kind of junk has so many lines a minute, then a count; metrics count all."""

import asyncio
import logging
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.process import process, wait_until_ready
from tests.server.conftest import Running, Serve
from tests.server.test_slow_peers import ended
from tests.server.test_tls import Issuer
from transcriber.observability.log_rate_limit import MAX_LINES, LogRateLimiter

TIMES = 40
SIGNED = {"twilio_auth_token": ("12345",), "public_url": "https://media.example.net", "rate_per_address": 0}


async def sends(running: Running, junk: bytes) -> None:
    """A connection that says this and is then ended by the server."""
    address = urlsplit(running.server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(junk)
    await ended(reader)
    writer.transport.abort()


def counted(running: Running, status: str) -> float:
    registry = running.server.services.metrics.registry
    return registry.get_sample_value("transcriber_refusals_total", {"status": status}) or 0.0


def lines(caplog: pytest.LogCaptureFixture, words: str) -> int:
    return sum(words in record.getMessage() for record in caplog.records)


async def test_what_is_no_http_has_a_budget(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    running = await serve()
    with caplog.at_level(logging.INFO):
        for _ in range(TIMES):
            await sends(running, b"\x16\x03\x01 no HTTP\r\n\r\n")
    assert lines(caplog, "no HTTP request") == MAX_LINES
    assert counted(running, "400") == TIMES


@pytest.mark.parametrize("headers", [{}, {"X-Twilio-Signature": "made-up"}])
async def test_bad_signatures_have_a_budget(
    serve: Serve, caplog: pytest.LogCaptureFixture, headers: dict[str, str]
) -> None:
    running = await serve(**SIGNED)
    async with aiohttp.ClientSession() as session:
        for number in range(TIMES):
            url = f"{running.server.url}/v1/{('media', 'twiml')[number % 2]}"
            method = ("GET", "POST")[number % 2]
            async with session.request(method, url, headers={"Upgrade": "websocket"} | headers) as answer:
                assert answer.status == 403
    assert lines(caplog, "X-Twilio-Signature") == MAX_LINES
    assert counted(running, "403") == TIMES


async def test_refused_streams_have_a_budget(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    running = await serve()
    for _ in range(TIMES):
        async with running.phone.call(start=False) as call:
            await call.send("no json")
            assert await call.closed() == 1007
    assert lines(caplog, "stream closed with 1007") == MAX_LINES
    assert counted(running, "1007") == TIMES
    running.server.services.log_limiter.report(at_end=True)
    assert f"{TIMES - MAX_LINES} more lines of this kind left out: stream closed with 1007" in caplog.text


async def test_junk_on_a_tls_port_and_connections_that_leave_have_a_budget(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    issuer.issue("localhost")
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in issuer.settings.items()]
    async with process("--data-dir", str(tmp_path / "data"), "--redis-url", "", *flags) as child:
        address = urlsplit(await wait_until_ready(child))
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for number in range(TIMES):
            junk = b"GET / HTTP/1.0\r\n\r\n" if number % 2 else b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            writer.write(junk)
            await ended(reader)
            writer.transport.abort()
            _, leaving = await asyncio.open_connection(address.hostname, address.port, ssl=context)
            leaving.write(b"POST /v1/twiml HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nCall")
            leaving.transport.abort()
        child.terminate()
        out, _ = await asyncio.wait_for(child.communicate(), 60)
    assert child.returncode == 0
    assert out.count(b"\n") < 3 * MAX_LINES, out.decode()


def test_what_was_left_out_is_said_when_its_window_is_over(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    budget, log = LogRateLimiter(lines=2, window_s=60, clock=lambda: now), logging.getLogger("somewhere")
    for _ in range(5):
        budget.log(log, logging.WARNING, "junk", "junk from %s", "x")
        budget.log(log, logging.DEBUG, "quiet", "not even looked at")
    budget.report()
    now = 60.0
    budget.report()
    budget.report()
    budget.log(log, logging.WARNING, "junk", "junk from %s", "y")
    assert [record.getMessage() for record in caplog.records] == [
        "junk from x",
        "junk from x",
        "3 more lines of this kind left out: junk",
        "junk from y",
    ]


def test_lines_of_libraries_count(caplog: pytest.LogCaptureFixture) -> None:
    budget, library = LogRateLimiter(lines=2), logging.getLogger("aiohttp.server")
    with budget.limit_loggers("aiohttp.server"):
        for number in range(5):
            library.error("trouble %d", number)
    library.error("afterwards")
    assert [record.getMessage() for record in caplog.records] == ["trouble 0", "trouble 1", "afterwards"]
