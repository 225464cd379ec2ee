"""The files of deploy/ for HAProxy, nginx and Caddy before two servers: what Twilio, clients and strangers see."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.proxy.conftest import WITHIN_S, OpenFront, Outsider
from tests.proxy.pair import HEADERS, KEY, PUBLIC, TOKEN, client, pair, phone, short_call
from tests.proxy.shipped import NAME, SHIPPED
from tests.proxy.test_proxies import request
from tests.sample_events import until
from transcriber.errors import ServerUnreachable
from transcriber.telephony.twilio import signature

CALL = {"CallSid": "CA1", "AccountSid": "AC1", "CallStatus": "ringing"}
CLOSED = (
    *("/healthz", "/readyz", "/metrics", "/readyz?exclude=room", "//metrics", "/./metrics", "/metrics/", "/%6detrics"),
    *("/v1/../metrics", "/v1/%2e%2e/metrics", "/v1/..%2fmetrics", "/static/../metrics", "/static/..%2f..%2fmetrics"),
    *("/v1//../metrics", "/docs/../metrics", "/METRICS", "/metrics;x", "/metrics%00", "/nothing"),
)
pytestmark = [pytest.mark.proxy, pytest.mark.timeout(120), pytest.mark.parametrize("kind", SHIPPED)]


def forged(address: str) -> str:
    """A request that says in every way that it comes from this machine, on behalf of that address."""
    said = (
        f"X-Forwarded-For: 127.0.0.1, {address}\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: localhost\r\n"
        f"Forwarded: for={address};proto=http;host=localhost\r\nX-Real-IP: {address}\r\n"
    )
    return request("GET /v1/calls", "localhost").removesuffix("\r\n") + said + "\r\n"


async def webhook(http: aiohttp.ClientSession, *, token: str = TOKEN) -> tuple[int, str]:
    """Twilio's request for TwiML, signed with that token: status and body."""
    signed = signature.compute(token, f"{PUBLIC}/v1/twiml", CALL.items())
    async with http.post("/v1/twiml", data=CALL, headers={"X-Twilio-Signature": signed}) as answer:
        return answer.status, await answer.text()


async def test_twilio_and_clients_get_in_and_nobody_else(
    kind: str, redis_url: str, tmp_path: Path, front: OpenFront
) -> None:
    async with pair(redis_url, tmp_path) as servers:
        proxy = await front(kind, servers.servers)
        async with client(proxy) as http:
            status, twiml = await webhook(http)
            assert status == 200
            assert f'url="wss://{NAME}/v1/media"' in twiml
            assert (await webhook(http, token="no"))[0] == 403
            async with http.get("/v1/calls") as answer:
                assert answer.status == 401
                assert "max-age" in answer.headers["Strict-Transport-Security"]
            async with http.get("/nothing") as answer:  # the proxy's own answer
                assert answer.status == 404
                assert "max-age" in answer.headers["Strict-Transport-Security"]
            async with http.get(f"http://{proxy.plain[0]}:{proxy.plain[1]}/v1/calls", allow_redirects=False) as answer:
                assert answer.status == 308
                assert answer.headers["Location"].startswith("https://")
        with pytest.raises(ServerUnreachable, match="403"):
            async with phone(proxy, token="no").call():
                pass


async def test_live_events_pass_at_once(kind: str, redis_url: str, tmp_path: Path, front: OpenFront) -> None:
    async with pair(redis_url, tmp_path) as servers:
        proxy = await front(kind, servers.servers)
        async with client(proxy) as http:
            async with http.get("/v1/events", headers=HEADERS) as live, phone(proxy).call(speed=1) as call:
                await call.play(1500)
                said = b""
                while b"data:" not in said:
                    said += await asyncio.wait_for(anext(live.content.iter_any()), WITHIN_S)
                assert call.call_sid.encode() in said  # while the call goes on
                assert await call.hang_up() == 1000
            async with http.get("/v1/calls", headers=HEADERS) as answer:
                assert [one["call_sid"] for one in (await answer.json())["calls"]] == [call.call_sid]


async def test_strangers_find_no_health_no_metrics_and_no_way_to_be_somebody_else(
    kind: str, redis_url: str, tmp_path: Path, front: OpenFront, outsider: Outsider
) -> None:
    budget = 30
    async with pair(redis_url, tmp_path, RATE_PER_ADDRESS=str(budget)) as servers:
        # The first server is alone at both places, so that it counts all of the stranger's requests.
        proxy = await front(kind, (servers.servers[0], servers.servers[0]), host=outsider.here)
        for path in CLOSED:
            status = await outsider.ask(proxy.address, request(f"GET {path}", NAME), tls=True)
            assert status in (400, 404), path
        assert await outsider.ask(proxy.address, request("GET /v1/calls", NAME, key=KEY), tls=True) == 200
        statuses = [
            await outsider.ask(proxy.address, forged(f"198.51.100.{number}"), tls=True) for number in range(2 * budget)
        ]
        assert set(statuses) == {401, 429}
        assert statuses.count(401) <= budget + 10  # all of them were charged to the stranger's own address
        assert await outsider.ask(proxy.address, request("GET /v1/calls", NAME, key=KEY), tls=True) == 200


async def test_what_a_full_server_refuses_the_other_takes(
    kind: str, redis_url: str, tmp_path: Path, front: OpenFront
) -> None:
    async with pair(redis_url, tmp_path, MAX_TRACKS="4") as servers, AsyncExitStack() as calls:
        proxy = await front(kind, servers.servers)
        # The first server is full, and no check has noticed.
        for phones in (servers.phone(0), servers.phone(0), phone(proxy), phone(proxy)):
            await (await calls.enter_async_context(phones.call())).play(100)
        # Now there is room nowhere: a stream is refused before the 101, and all else goes on.
        with pytest.raises(ServerUnreachable, match=r"50[23]"):
            await short_call(phone(proxy))
        async with client(proxy) as http:
            for _ in range(4):
                status, twiml = await webhook(http)
                assert (status, "<Stream" in twiml) == (200, True)
            async with http.get("/v1/calls", headers=HEADERS) as answer:
                assert len((await answer.json())["calls"]) == 4


async def test_what_a_draining_server_refuses_the_other_takes(
    kind: str, redis_url: str, tmp_path: Path, front: OpenFront
) -> None:
    async with pair(redis_url, tmp_path) as servers:
        proxy = await front(kind, servers.servers)
        async with servers.phone(0).call() as staying, client(proxy) as http:
            await staying.play(1000)
            servers.stop(0)
            # At once, before any check can have noticed.
            assert await asyncio.gather(*(short_call(phone(proxy)) for _ in range(8))) == [1000] * 8
            for _ in range(4):
                assert "<Stream" in (await webhook(http))[1]
                async with http.get(f"/v1/calls/{staying.call_sid}", headers=HEADERS) as answer:
                    assert answer.status == 200
            assert await staying.hang_up() == 1000
        await servers.stopped(0)
        assert await short_call(phone(proxy)) == 1000


async def test_a_server_that_died_costs_no_voice_webhook(
    kind: str, redis_url: str, tmp_path: Path, front: OpenFront
) -> None:
    """Twilio ends a telephone call whose webhook fails; its request has a body, which another try needs again."""
    async with pair(redis_url, tmp_path) as servers:
        proxy = await front(kind, servers.servers)
        async with client(proxy) as http:
            for number in range(4):
                assert (await webhook(http))[0] == 200, number
            await servers.killed(0)

            async def answered() -> set[int]:
                return {status for status, _ in await asyncio.gather(*(webhook(http) for _ in range(8)))}

            # At once, before any check can have noticed.
            if kind != "caddy":
                assert await answered() == {200}
                return
            # Caddy cannot send the body again, as its file says; a check ends that.
            assert await answered() <= {200, 502}

            async def well() -> bool:
                return await answered() == {200}

            await until(well, within_s=WITHIN_S)
