"""A server that expects others and was given no keys makes one, and tells it to nobody but its user."""

import asyncio
import os
import pty
import socket
import stat
import sys
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from tests.phone import Phone
from tests.process import command, process, program, wait_until_ready
from tests.server.conftest import Serve

TOKEN, PUBLIC = "12345" * 6, "https://media.example.net"
pytestmark = pytest.mark.timeout(180)  # many programs one after the other, each of which loads a model or all commands
OTHERS = {"TRANSCRIBER_TWILIO_AUTH_TOKEN": TOKEN, "TRANSCRIBER_PUBLIC_URL": PUBLIC}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


async def status(url: str, key: str = "", *, method: str = "GET") -> int:
    async with aiohttp.ClientSession() as http, http.request(method, url, headers={"X-API-Key": key}) as answer:
        return answer.status


async def test_the_key_is_made_once_and_only_its_user_can_read_it(tmp_path: Path) -> None:
    keys, said = set(), ""
    for _ in range(2):
        async with process("--data-dir", str(tmp_path / "data"), **OTHERS) as child:
            url = await wait_until_ready(child)
            key = (tmp_path / "data" / "api-key").read_text().strip()
            keys.add(key)
            assert await status(f"{url}/v1/calls") == 401
            assert await status(f"{url}/v1/calls", "x" * 40) == 401
            assert await status(f"{url}/v1/calls", key) == 200
            assert await status(f"{url}/v1/calls/CA1", method="DELETE") == 401
            assert await status(f"{url}/v1/sample-calls", method="POST") == 401
            async with Phone(url, api_key=key).call() as call:
                await call.play(1000)
                assert await call.hang_up() == 1000
            child.terminate()
            assert child.stdout is not None
            said += (await asyncio.wait_for(child.stdout.read(), 30)).decode()
    assert len(keys) == 1
    assert keys.pop() not in said
    assert stat.S_IMODE((tmp_path / "data" / "api-key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert [path.name for path in (tmp_path / "data").glob(".api-key*")] == []


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [("k" * 40, 0o644, "open to other users"), ("", 0o600, "empty"), ("short", 0o600, "holds no key")],
)
async def test_a_key_of_no_use_is_refused(tmp_path: Path, content: str, mode: int, says: str) -> None:
    path = tmp_path / "api-key"
    path.write_text(content)
    path.chmod(mode)
    async with process("--data-dir", str(tmp_path), **OTHERS) as child:
        out, _ = await asyncio.wait_for(child.communicate(), 40)
    assert child.returncode == 2
    assert says in out.decode()
    assert "remove it" in out.decode()
    found, said = await command("check", "--data-dir", str(tmp_path), **OTHERS)
    assert found == 1
    assert f"WRONG  api: {path}" in said


async def test_commands_of_this_machine_find_it(tmp_path: Path) -> None:
    settings = OTHERS | {"TRANSCRIBER_PORT": str(free_port()), "TRANSCRIBER_DATA_DIR": str(tmp_path)}
    serve = (sys.executable, "-m", "transcriber", "serve")
    async with program(*serve, environment=settings) as child:
        assert (await wait_until_ready(child)).endswith(settings["TRANSCRIBER_PORT"])
        assert (await command("replay", "--speed", "0", **settings))[0] == 0
        found, said = await command("calls", "--json", **settings)
        assert (found, said.count('"status":"ended"')) == (0, 1)
        # Without the settings of the server, too, as long as it is the same place.
        alone = {name: settings[name] for name in ("TRANSCRIBER_PORT", "TRANSCRIBER_DATA_DIR")}
        assert (await command("calls", **alone))[0] == 0
        found, said = await command("key", "--local", **settings)
        key = (tmp_path / "api-key").read_text().strip()
        assert found == 0
        assert key in said.splitlines()
        assert f"/#key={key}" in said
        url = f"http://127.0.0.1:{settings['TRANSCRIBER_PORT']}"
        elsewhere = {"TRANSCRIBER_DATA_DIR": str(tmp_path / "other")}
        assert "--api-key-file" in (await command("calls", "--url", url, **elsewhere))[1]
        given = ("--api-key-file", str(tmp_path / "api-key"))
        assert (await command("calls", "--url", url, *given, **elsewhere))[0] == 0


async def test_it_is_shown_to_no_other_server(tmp_path: Path, aiohttp_server: AiohttpServer) -> None:
    (tmp_path / "api-key").write_text("k" * 40)
    (tmp_path / "api-key").chmod(0o600)
    shown = []

    async def calls(request: web.Request) -> web.Response:
        shown.append(request.headers.get("Authorization"))
        return web.json_response({"calls": [], "next": None})

    app = web.Application()
    app.router.add_get("/v1/calls", calls)
    server = await aiohttp_server(app)
    settings = {"TRANSCRIBER_DATA_DIR": str(tmp_path), "TRANSCRIBER_PUBLIC_URL": PUBLIC}
    assert (await command("calls", "--url", f"http://127.0.0.1:{server.port}", **settings))[0] == 0
    settings |= {"TRANSCRIBER_PORT": str(server.port)}
    assert (await command("calls", "--url", f"http://localhost:{server.port}", **settings))[0] == 0
    assert shown == [None, None]
    assert (await command("calls", **settings))[0] == 0
    assert shown[2:] == [f"Bearer {'k' * 40}"]


async def test_only_a_terminal_is_told_the_key(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    reading = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reading), os.fdopen(ours, "rb"))
    serve = (sys.executable, "-m", "transcriber", "serve", "--port", "0", "--data-dir", str(tmp_path))
    async with program(*serve, environment=OTHERS, errors=theirs), asyncio.timeout(40):
        os.close(theirs)
        said = (await reading.readuntil(b"ready on")).decode()
    key = (tmp_path / "api-key").read_text().strip()
    assert said.count(key) == 2
    assert f"{PUBLIC}/#key={key}" in said


async def test_insecure_stays_open_and_says_so(tmp_path: Path) -> None:
    async with process("--data-dir", str(tmp_path), **OTHERS, TRANSCRIBER_INSECURE="1") as child:
        url = await wait_until_ready(child)
        assert await status(f"{url}/v1/calls") == 200
        assert not (tmp_path / "api-key").exists()
    found, said = await command("check", "--data-dir", str(tmp_path), **OTHERS, TRANSCRIBER_INSECURE="1")
    assert (found, "INSECURE: open to everybody" in said) == (0, True)


async def test_on_a_desk_there_is_no_key(tmp_path: Path) -> None:
    async with process("--data-dir", str(tmp_path)) as child:
        assert await status(f"{await wait_until_ready(child)}/v1/calls") == 200
        assert not (tmp_path / "api-key").exists()
    found, said = await command("check", "--data-dir", str(tmp_path))
    assert (found, said.count("set TRANSCRIBER_PUBLIC_URL or TRANSCRIBER_API_KEYS before")) == (0, 2)


async def ask_raw(url: str, request: bytes) -> int:
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    async with asyncio.timeout(20):
        answer = int((await reader.readline()).split()[1])
    writer.close()
    return answer


async def test_on_a_desk_only_whole_and_direct_requests_are_of_this_machine(serve: Serve) -> None:
    url = (await serve()).server.url
    good = b"GET /v1/calls HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
    assert await ask_raw(url, good % b"") == 200
    assert await ask_raw(url, good % b"Sec-Fetch-Site: same-origin\r\n") == 200
    assert await ask_raw(url, good % b"Sec-Fetch-Site: cross-site\r\n") == 403
    assert await ask_raw(url, b"GET /v1/calls HTTP/1.0\r\n\r\n") == 403
    assert await ask_raw(url, b"GET /v1/calls HTTP/1.0\r\nHost: localhost\r\n\r\n") == 403
    assert await ask_raw(url, b"GET /v1/calls HTTP/1.1\r\n\r\n") in (400, 403)
    assert await ask_raw(url, (good % b"").replace(b"/v1", b"http://media.example.net/v1")) == 403
    assert await ask_raw(url, good % b"Host: media.example.net\r\n") in (400, 403)
