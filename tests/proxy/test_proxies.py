"""Behind a proxy nobody is taken for a program of this machine, whatever the proxy says or leaves out."""

from pathlib import Path

import pytest

from tests.process import process, wait_until_ready
from tests.proxy.configurations import CONFIGURATIONS
from tests.proxy.conftest import Address, OpenProxy, Outsider

TOKEN, PUBLIC = "12345" * 6, "https://media.example.net"
SETTINGS = {"TRANSCRIBER_TWILIO_AUTH_TOKEN": TOKEN, "TRANSCRIBER_PUBLIC_URL": PUBLIC}
WEBSOCKET = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n"
)
CLOSED = {
    "GET /v1/calls": 401,
    "DELETE /v1/calls/CA1": 401,
    "POST /v1/sample-calls": 401,
    "GET /v1/events": 401,
    "GET /v1/server": 401,
    "GET /v1/media": 403,
    "POST /v1/twiml": 403,
    "POST /v1/stream-status": 403,
}
pytestmark = [pytest.mark.proxy, pytest.mark.timeout(120)]


def request(what: str, host: str, *, key: str = "", version: str = "1.1") -> str:
    """The bytes; without `host` there is no such header."""
    more = f"Host: {host}\r\n" if host else ""
    more += f"Authorization: Bearer {key}\r\n" if key else ""
    more += "Content-Length: 0\r\n" if what.startswith("POST") else ""
    more += WEBSOCKET if what.endswith("/media") else ""
    return f"{what} HTTP/{version}\r\n{more}\r\n"


def hosts(proxy: Address, server_url: str) -> list[str]:
    """What a stranger may say whom it looks for."""
    server = server_url.removeprefix("http://")
    return [f"{proxy[0]}:{proxy[1]}", "localhost", server, "[::1]", server.rpartition(":")[0]]


@pytest.mark.parametrize("kind", [kind for kind in CONFIGURATIONS if kind != "nginx without upgrades"])
async def test_with_twilios_settings_a_proxy_opens_nothing(
    kind: str, tmp_path: Path, proxy: OpenProxy, outsider: Outsider
) -> None:
    async with process("--data-dir", str(tmp_path / "data"), **SETTINGS) as child:
        url = await wait_until_ready(child)
        address = await proxy(kind, url)
        for host in hosts(address, url):
            for what, status in CLOSED.items():
                assert await outsider.ask(address, request(what, host)) == status, (what, host)
        assert await outsider.ask(address, request("GET /v1/calls", "", version="1.0")) in (400, 401)
        assert await outsider.ask(address, request("GET /healthz", "localhost")) == 200
        key = (tmp_path / "data" / "api-key").read_text().strip()
        for host in hosts(address, url):
            assert await outsider.ask(address, request("GET /v1/calls", host, key=key)) == 200
        through = f"http://{address[0]}:{address[1]}"
        assert await outsider.call(url=through, auth_token=TOKEN, public_url=PUBLIC) == {"closed": 1000}
        assert "403" in (await outsider.call(url=through, auth_token="no", public_url=PUBLIC))["refused"]


@pytest.mark.parametrize("kind", CONFIGURATIONS)
@pytest.mark.parametrize(
    "name", ["PUBLIC_URL", "TRUSTED_PROXIES", "API_KEYS"], ids=lambda name: str(name).lower().replace("_", " ")
)
async def test_any_word_of_a_proxy_closes_streams_and_api(
    kind: str, name: str, tmp_path: Path, proxy: OpenProxy, outsider: Outsider
) -> None:
    value = {"PUBLIC_URL": PUBLIC, "TRUSTED_PROXIES": "127.0.0.1", "API_KEYS": "k" * 32}[name]
    async with process("--data-dir", str(tmp_path / "data"), **{f"TRANSCRIBER_{name}": value}) as child:
        url = await wait_until_ready(child)
        address = await proxy(kind, url)
        for host in hosts(address, url):
            assert await outsider.ask(address, request("GET /v1/calls", host)) == 401, host
            assert await outsider.ask(address, request("POST /v1/twiml", host)) == 403, host
            if kind != "nginx without upgrades":
                assert await outsider.ask(address, request("GET /v1/media", host)) == 403, host


@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        # By address and by loopback name: what the proxy adds gives it away, or the name, or nothing at all.
        ("caddy", (403, 403)),
        ("haproxy forwardfor", (403, 403)),
        ("nginx without upgrades", (403, 403)),
        ("haproxy tcp", (403, 200)),
        ("haproxy http", (403, 200)),
        ("nginx", (200, 200)),
    ],
)
async def test_without_settings_only_a_proxy_that_says_so_is_told_from_this_machine(
    kind: str, statuses: tuple[int, int], tmp_path: Path, proxy: OpenProxy, outsider: Outsider
) -> None:
    async with process("--data-dir", str(tmp_path / "data")) as child:
        url = await wait_until_ready(child)
        address = await proxy(kind, url)
        names = (f"{address[0]}:{address[1]}", "localhost")
        assert tuple([await outsider.ask(address, request("GET /v1/calls", name)) for name in names]) == statuses
