"""Whatever stands in a parameter, a header or a body: an answer that says what is wrong, never an error of ours."""

import asyncio
import base64
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from tests.web.conftest import Client, WebClient

ODD: list[str] = [
    *("", " ", "0", "-0", "1", "-1", "00", "+1", "1e3", "1e400", "NaN", "inf", "0x10", "1_000", "٣", "²", "%", "%zz"),
    *("9" * 8, "9" * 11, "9" * 12, "9" * 15, "9" * 16, "9" * 400, "20261201", "20261301", "2026", "202612", "2026335"),
    *("9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+14:00", "0001-01-01"),
    *("0000-01-01", "2026-02-30", "2026-W53-7", "2026-W01", "2026-11-23T24:00:00Z", "2026-11-23T05:20:60Z", "T", "1T1"),
    *("2026-11-23T05:20:00+99:99", "2026-11-23T05:20:00 01:00", "253402300800", "-62135596801", "1.9999999999"),
    *("true", "null", "[]", "{}", "a" * 3000, "\x00", "\x7f", "\ufeff", "\u2028", "\ud800", "😀", "’", "é", "*", "**"),
    *(
        '"',
        '""',
        '"*"',
        "pay*",
        "a*",
        "co* ca* pa* re* ma*",
        "ab*" * 100,
        "'",
        "''",
        "..",
        "../..",
        "//",
        "#",
        "?",
        "&",
    ),
    *("1", "2"),
]
CURSORS = (
    "9007199254740991:CA",
    "253402300799999:CA",
    "253402300800000:CA",
    "-1:CA",
    "0:",
    ":",
    "0:\x00",
    "1e3:CA",
    "²:CA",
)
ODD += [base64.urlsafe_b64encode(text.encode()).decode() for text in CURSORS]
ODD += [base64.urlsafe_b64encode(b"1:\xff").decode(), "A", "====", "MA=="]
ROUTES = {
    "/v1/calls": ("q", "status", "since", "until", "limit", "cursor", "other"),
    "/v1/calls/CA1": ("x",),
    "/v1/calls/CA1/transcript": ("format", "track"),
    "/v1/calls/CA1/events": ("partials", "lastEventId", "evs_last_event_id", "Last-Event-ID", "_", "r"),
    "/v1/server": ("x",),
    "/static/main.js": ("v",),
    "/openapi.json": ("x",),
    "/asyncapi.json": ("x",),
}
HEADERS: tuple[str, ...] = (
    "Accept",
    "Accept-Encoding",
    "If-None-Match",
    "Last-Event-ID",
    "Origin",
    "X-Request-ID",
    "Range",
    "Cookie",
)
HEADERS += ("Authorization", "X-API-Key", "Content-Type", "If-Modified-Since", "X-Forwarded-For", "Accept-Language")
ODD_HEADERS = [
    *(
        "*/*;q=nan",
        "*/*;q=1e9",
        "text/vtt;q=0.٣",
        "text/*;q=-1",
        ";q=1",
        ",,,",
        "a/b;q=",
        "*",
        "*/json",
        "/",
        "text/csv;;q=0.5",
    ),
    *(
        'W/"',
        '"',
        '"a", W/"b"',
        "W/",
        "**",
        "9" * 400,
        "-1",
        "1;2",
        "\xff\xfe",
        "é",
        "bytes=0-",
        "Basic Og==",
        "Bearer",
        "Bearer é",
    ),
]


def parameters() -> Iterator[tuple[str, str]]:
    """Every odd value for every parameter, and some of them together."""
    for route, names in ROUTES.items():
        for name in names:
            yield from ((route, f"{quote(name)}={_quoted(value)}") for value in ODD)
    for name in ("since", "until", "cursor", "limit"):
        yield from (("/v1/calls", f"q=hello&{name}={_quoted(value)}") for value in ODD)
    chance = random.Random(1)
    for _ in range(400):
        route = chance.choice(list(ROUTES))
        some = chance.sample(ROUTES[route], min(3, len(ROUTES[route])))
        yield route, "&".join(f"{name}={_quoted(chance.choice(ODD))}" for name in some)


def _quoted(value: str) -> str:
    return quote(value.encode("utf-8", "surrogatepass"), safe="")


@pytest.fixture
async def client(web_client: WebClient, begin_call: Any) -> Client:
    call = await begin_call("CA1")
    await call.say("hello there")
    await call.end()
    return await web_client()


@pytest.mark.timeout(180)
async def test_odd_parameters(client: Client) -> None:
    wrong = []
    for route, query in parameters():
        answer = await client.get(URL(f"{route}?{query}", encoded=True))
        body = await answer.read()
        if answer.status >= 500 or (answer.status >= 400 and b'"message"' not in body):
            wrong.append((route, query, answer.status))
    assert not wrong


@pytest.mark.parametrize("path", ["/v1/calls", "/v1/calls/CA1/transcript", "/v1/calls/CA1/events", "/static/main.js"])
async def test_odd_headers(client: Client, path: str) -> None:
    wrong = []
    for name in HEADERS:
        for value in ODD_HEADERS:
            raw = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{name}: {value}\r\n\r\n"
            status = await _status(client, raw.encode("latin-1", "replace"))
            if status >= 500:
                wrong.append((name, value, status))
    assert not wrong


async def test_odd_paths(client: Client) -> None:
    wrong = []
    for value in ODD:
        for path in (
            f"/v1/calls/{_quoted(value)}",
            f"/v1/calls/{_quoted(value)}/transcript",
            f"/static/{_quoted(value)}",
        ):
            for method in ("GET", "DELETE", "HEAD", "OPTIONS"):
                try:
                    answer = await client.request(method, URL(path, encoded=True))
                except aiohttp.ClientError:
                    continue  # the library refuses to send it
                if answer.status >= 500:
                    wrong.append((method, path, answer.status))
    assert not wrong


async def _status(client: Client, request: bytes) -> int:
    """Of the answer to raw bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(request)
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])
