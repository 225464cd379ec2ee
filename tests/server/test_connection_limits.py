"""Who gets a place when all are taken: those with something to say, before those who only hold a connection."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.models import ProcessOf
from tests.server.conftest import Running, Serve, serving
from tests.server.test_slow_peers import Streams, cut, ended
from tests.server.test_tls import Issuer
from transcriber.server.tuning import Tuning
from transcriber.settings.api_keys import settings_entry
from transcriber.web.limits.client_limits import ClientLimits
from transcriber.web.transport import connections

MOST = 20
HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
FOLLOW = b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALF = b"POST /v1/twiml HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nCall"
KEYS = ("first-key" * 4, "second-key" * 4)


LIMITS = ClientLimits(connections=MOST, head_s=60)


@pytest.fixture
async def serve(redis_url: str, tmp_path: Path, process_of: ProcessOf) -> AsyncIterator[Serve]:
    """Starts servers with these limits."""
    async with serving(redis_url, tmp_path, process_of, tuning=Tuning(client_limits=LIMITS)) as start:
        yield start


@asynccontextmanager
async def held(
    running: Running, number: int, request: bytes, *, until: bytes = b"", host: str = "127.0.0.1"
) -> AsyncIterator[list[Streams]]:
    """So many connections that have sent this and, with `until`, read so far."""
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(number):
            reader, writer = await asyncio.open_connection(host, urlsplit(running.server.url).port)
            stack.callback(writer.transport.abort)
            writer.write(request)
            if until:
                await reader.readuntil(until)
            opened.append((reader, writer))
        yield opened


async def alive(running: Running, *, host: str = "127.0.0.1") -> bool:
    """Whether a newcomer is answered."""
    async with held(running, 1, HEAD, host=host) as [(reader, _)]:
        try:
            return b'"alive"' in await reader.readuntil(b"}")
        except (ConnectionError, asyncio.IncompleteReadError):
            return False


async def test_idle_connections_make_room_before_those_that_are_about_to_ask(serve: Serve) -> None:
    running = await serve()
    async with (
        held(running, 1, b"GET /healthz HT") as [(asking, asker)],
        held(running, MOST - 1, HEAD, until=b"}") as idle,
    ):
        assert await alive(running)
        assert await ended(idle[0][0]) == b"", "the oldest"
        asker.write(b"TP/1.1\r\nHost: localhost\r\n\r\n")
        assert b'"alive"' in await asking.readuntil(b"}")
        idle[-1][1].write(HEAD)
        assert b'"alive"' in await idle[-1][0].readuntil(b"}")
        assert cut(running, "full") == 1


async def test_bodies_that_do_not_come_make_room(serve: Serve) -> None:
    running = await serve()
    async with held(running, MOST, HALF):
        assert await alive(running)
    assert cut(running, "full") >= 1


async def test_tls_handshakes_that_do_not_come_take_no_place_from_newcomers(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = Issuer(tmp_path)
    issuer.issue("localhost")
    running = await serve(tuning=Tuning(client_limits=replace(LIMITS, handshake_s=60)), **issuer.settings)
    async with held(running, 3 * MOST, b"\x16\x03\x01\x02\x00\x01") as silent:
        assert "localhost" in await issuer.shown(running.server.url)
        assert await ended(silent[0][0]) == b""
        assert cut(running, "full") >= 2 * MOST
    with caplog.at_level(logging.INFO):
        async with held(running, 1, b"no TLS at all") as [(reader, _)]:
            await ended(reader)
    assert "a TLS handshake failed" in caplog.text
    assert cut(running, "handshake") >= 1


async def test_who_reads_live_events_is_not_cut_for_a_newcomer(serve: Serve) -> None:
    running = await serve()
    async with held(running, MOST, FOLLOW, until=b"retry:") as following:
        assert not await alive(running)
        assert cut(running, "full") == 1
        assert not any(reader.at_eof() for reader, _ in following)
        following[0][1].transport.abort()


async def test_calls_go_on_and_begin_while_strangers_hold_all_places(serve: Serve) -> None:
    running = await serve()
    async with running.phone.call() as early, held(running, 2 * MOST, HEAD, until=b"}"), running.phone.call() as late:
        for call in (early, late):
            await call.play(1000)
            assert await call.hang_up() == 1000


@pytest.fixture
def own_address() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


async def test_one_address_gets_a_share_and_makes_room_within_it(serve: Serve, own_address: str) -> None:
    running = await serve(host="0.0.0.0", insecure=True)
    share = MOST // connections.ADDRESS_SHARE
    async with held(running, 2, HEAD, until=b"}") as neighbours:
        async with held(running, share, HEAD, until=b"}", host=own_address) as idle:
            assert await alive(running, host=own_address)
            assert await ended(idle[0][0]) == b""
        async with held(running, share, FOLLOW, until=b"retry:", host=own_address):
            assert not await alive(running, host=own_address)
            assert await alive(running)
        for reader, writer in neighbours:
            writer.write(HEAD)
            assert b'"alive"' in await reader.readuntil(b"}")
    assert cut(running, "address") >= 2


async def test_a_trusted_proxy_is_not_bounded_as_an_address(serve: Serve, own_address: str) -> None:
    running = await serve(host="0.0.0.0", insecure=True, trusted_proxies=(own_address,))
    async with held(running, MOST - 1, FOLLOW, until=b"retry:", host=own_address):
        assert await alive(running, host=own_address)


@contextmanager
def asked(url: str, **headers: str) -> Iterator[bytes]:
    """What a bare connection gets for a request after which it would go on; it ends when the server closes."""
    address = urlsplit(url)
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((address.hostname, address.port), timeout=20) as sock:
        sock.sendall(f"GET {address.path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
        got = b""
        while part := sock.recv(65_536):
            got += part
        yield got


async def test_who_is_refused_keeps_no_connection(serve: Serve) -> None:
    signed = {"twilio_auth_token": ("12345",), "public_url": "https://media.example.net"}
    running = await serve(api_keys=KEYS, rate_per_address=3, **signed)

    def strangers() -> list[bytes]:
        answers = []
        for path in ("/v1/calls", "/nothing", "/v1/media", "/v1/calls", "/v1/calls"):
            with asked(running.server.url + path, X_API_Key="guess") as answer:
                answers.append(answer.split(b" ")[1])
        return answers

    assert await asyncio.to_thread(strangers) == [b"401", b"404", b"426", b"401", b"429"]
    async with (
        aiohttp.ClientSession(headers={"X-API-Key": KEYS[0]}) as session,
        session.get(running.server.url + "/v1/calls/CA1") as answer,
    ):
        assert answer.status == 404
        assert "Connection" not in answer.headers


async def test_a_client_follows_so_many_live_events_at_once(serve: Serve) -> None:
    running = await serve(
        api_keys=(settings_entry("admin", KEYS[0]), settings_entry("read", KEYS[1])), sse_per_client=2
    )
    url = running.server.url + "/v1/events"
    first, second = ({"X-API-Key": key} for key in KEYS)
    async with aiohttp.ClientSession() as session:
        async with session.get(url, headers=first) as one, session.get(url, headers=first) as two:
            assert (one.status, two.status) == (200, 200)
            async with session.get(url, headers=first) as refused:
                assert refused.status == 429
                assert int(refused.headers["Retry-After"]) > 0
                assert "TRANSCRIBER_SSE_PER_CLIENT" in (await refused.json())["error"]["message"]
            async with session.get(url, headers=second) as other:
                assert other.status == 200
        async with asyncio.timeout(40):
            while True:
                await running.server.store.client.publish(f"{running.server.settings.redis_prefix}:CA1:event", "{}")
                async with session.get(url, headers=first) as again:
                    if again.status == 200:
                        break
