"""Bad requests to a real server: the right status, one error shape, one line of log at most, never a traceback."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.server.conftest import Running, Serve
from transcriber.web.access.authorization import OPEN_ROUTES


class Bad:
    """A server with one call, and what it answers to bytes on a socket."""

    def __init__(self, running: Running, call_sid: str) -> None:
        self.running = running
        self.call_sid = call_sid
        self.port = int(running.server.url.rsplit(":", 1)[1])

    async def raw(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        async with asyncio.timeout(10):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        status, *lines = head.decode().split("\r\n")
        return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body

    async def error(self, target: str, *, method: str = "GET", **headers: str) -> tuple[int, str]:
        """Status and code of the answer, which must have the one shape."""
        given = {"Host": "localhost", "Connection": "close", "X-API-Key": "right"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value)
        status, answered, body = await self.raw(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode())
        return status, checked(answered, body)


def checked(headers: dict[str, str], body: bytes) -> str:
    """The code of an error in the one shape."""
    assert headers["Content-Type"].startswith("application/json")
    shape = json.loads(body)
    assert list(shape) == ["error"]
    assert sorted(shape["error"]) == ["code", "message"]
    assert shape["error"]["message"]
    return str(shape["error"]["code"])


@pytest.fixture
async def bad(serve: Serve, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Bad]:
    running = await serve(api_keys=("right",), phone={"api_key": "right"})
    async with running.phone.call() as call:
        await call.play(500)
        await call.hang_up()
    await running.ended(call.call_sid)
    await running.live(0)
    with caplog.at_level(logging.INFO):
        caplog.clear()
        yield Bad(running, call.call_sid)
    assert [record.getMessage() for record in caplog.records if record.exc_info or record.levelno > logging.INFO] == []


QUERIES = [
    "cursor=",
    "cursor=%00",
    "cursor=AAAA",
    "cursor=LTE6Q0Ex",  # -1:CA1
    "cursor=MWU5OkNBMQ==",  # 1e9:CA1
    "cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk6Q0Ex",  # far in the future
    "cursor=" + "A" * 5000,
    "since=nan",
    "since=-1",
    "since=2026-02-30",
    "since=0000-01-01",
    "until=" + "9" * 5000,
    "until=%F0%9F%98%80",
    "status=LIVE",
    "limit=-1",
    "limit=1e2",
    "limit=" + "9" * 5000,
    "q=",
    "q=%22",
    "q=" + "a" * 5000,
    "q=" + "%22a%22" * 600,
    "%00=1",
    "q=a&q=b",
]


@pytest.mark.parametrize("query", QUERIES, ids=[query[:20] for query in QUERIES])
async def test_a_malformed_query(bad: Bad, query: str) -> None:
    assert await bad.error(f"/v1/calls?{query}") == (400, "bad_request")


async def test_malformed_parameters_of_one_call(bad: Bad) -> None:
    call = f"/v1/calls/{bad.call_sid}"
    for target in ("?x=1", "/transcript?format=", "/transcript?format=VTT", "/transcript?format=..%2Fvtt"):
        assert await bad.error(call + target) == (400, "bad_request"), target
    for target in ("/transcript?track=", "/transcript?track=inbound&track=outbound", "/events?partials=maybe"):
        assert await bad.error(call + target) == (400, "bad_request"), target
    assert await bad.error(call + "/events", Last_Event_ID="-1") == (400, "bad_request")
    assert await bad.error(call + "/transcript", Accept="image/png") == (406, "not_acceptable")


async def test_unknown_calls_and_strange_ids(bad: Bad) -> None:
    for rest in ("", "/transcript", "/events"):
        assert await bad.error(f"/v1/calls/CAunknown{rest}") == (404, "not_found")
    assert await bad.error("/v1/calls/CAunknown", method="DELETE") == (404, "not_found")
    for sid in ("CA1%2FCA2", "..%2F..%2Fetc%2Fpasswd", "%00", "%ff", "CA1%0d%0aX:1", "x" * 65, "*"):
        for rest in ("", "/transcript", "/events"):
            assert await bad.error(f"/v1/calls/{sid}{rest}") == (400, "bad_request"), (sid, rest)
        assert await bad.error(f"/v1/calls/{sid}", method="DELETE") == (400, "bad_request"), sid
    for target in (
        "/v1/calls/CA1/CA2",
        "/v1/calls/",
        "/v1/calls//transcript",
        "//v1/calls",
        "/v1/calls/CA1/transcript/",
    ):
        assert await bad.error(target) == (404, "not_found"), target


async def test_a_wrong_method_on_every_route(bad: Bad) -> None:
    for path in (f"/v1/calls/{bad.call_sid}", "/v1/calls", "/v1/events", "/healthz", "/metrics", "/v1/twiml", "/"):
        for method in ("PUT", "PATCH", "TRACE"):
            status, code = await bad.error(path, method=method)
            assert (status, code) == (405, "method_not_allowed"), (method, path)


async def test_a_missing_and_a_wrong_key_on_every_route(bad: Bad) -> None:
    paths = ["/v1/calls", "/v1/events", "/v1/server", "/openapi.json"]
    paths += [f"/v1/calls/{bad.call_sid}{rest}" for rest in ("", "/transcript", "/events")]
    for path in set(paths) - set(OPEN_ROUTES):
        for key in ("", "wrong", "right2", "é"):
            assert await bad.error(path, X_API_Key=key) == (401, "unauthorized"), (path, key)


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /v1/calls?q=" + "a" * 100_000 + " HTTP/1.1",
        "GET /v1/calls/é HTTP/1.1",
        "GET * HTTP/1.1",
        "BREW /v1/calls HTTP/1.1",
        "GET /v1/calls HTTP/9.9",
        "nonsense",
        "\x16\x03\x01\x02",
        "GET /v1/calls HTTP/1.1\r\nX: " + "a" * 20_000,
        "POST /v1/twiml HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1",
        "POST /v1/twiml HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
    ],
    ids=lambda line: line[:30],
)
async def test_what_is_no_http(bad: Bad, caplog: pytest.LogCaptureFixture, request_line: str) -> None:
    status, headers, body = await bad.raw(request_line.encode() + b"\r\n\r\n")
    assert (status, checked(headers, body)) == (400, "bad_request")
    [said] = [
        record.getMessage() for record in caplog.records if record.name == "transcriber.web.transport.connections"
    ]
    assert "aaaa" not in said + body.decode(), "it may be somebody's words"


async def test_the_call_is_still_there_afterwards(bad: Bad) -> None:
    [*_, ended] = await bad.running.events(bad.call_sid)
    assert ended["type"] == "call.ended"
    status, _, body = await bad.raw(b"GET /v1/calls HTTP/1.0\r\nHost: localhost\r\nX-API-Key: right\r\n\r\n")
    found: dict[str, Any] = json.loads(body)
    assert (status, [call["call_sid"] for call in found["calls"]]) == (200, [bad.call_sid])
