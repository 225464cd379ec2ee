"""`transcriber health`: what a container's health check runs."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import trustme

from tests.process import command, process, wait_until_ready


async def test_a_server_that_runs_is_alive_and_one_that_has_ended_is_not(tmp_path: Path) -> None:
    async with process("--data-dir", str(tmp_path)) as child:
        url = await wait_until_ready(child)
        settings = {"TRANSCRIBER_PORT": url.rsplit(":", 1)[1], "TRANSCRIBER_HOST": "0.0.0.0"}
        assert await command("health", **settings) == (0, f"alive: {url}/healthz answered 200\n")
        child.send_signal(signal.SIGTERM)
        await asyncio.wait_for(child.wait(), 20)
    status, out = await command("health", **settings)
    assert (status, out.count("\n")) == (1, 1)
    assert f"no server answers at {url}" in out


async def test_the_certificate_may_name_the_public_host_alone(tmp_path: Path) -> None:
    pair = trustme.CA().issue_cert("media.example.net")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    pair.cert_chain_pems[0].write_to_path(cert)
    pair.private_key_pem.write_to_path(key)
    tls = {"TRANSCRIBER_TLS_CERT": str(cert), "TRANSCRIBER_TLS_KEY": str(key)}
    async with process("--data-dir", str(tmp_path), **tls) as child:
        url = await wait_until_ready(child)
        port = url.rsplit(":", 1)[1]
        assert await command("health", TRANSCRIBER_PORT=port, **tls) == (0, f"alive: {url}/healthz answered 200\n")
        status, out = await command("health", TRANSCRIBER_PORT=port)  # settings that do not know of TLS
        assert (status, out.count("\n")) == (1, 1)


async def test_another_program_on_the_port_is_not_taken_for_the_server() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as other:
        port = str(other.sockets[0].getsockname()[1])
        status, out = await command("health", TRANSCRIBER_PORT=port)
    assert (status, "answered 404" in out) == (1, True)


async def test_a_port_that_cannot_be_known_is_a_matter_of_the_settings() -> None:
    status, out = await command("health", TRANSCRIBER_PORT="0")
    assert (status, "port 0" in out) == (2, True)


def test_it_imports_nothing_that_takes_long() -> None:
    shown = "import sys, transcriber.cli.main, transcriber.cli.health; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True).stdout.split()
    assert not {"aiohttp", "asyncio", "numpy", "redis", "vosk", "rich"} & set(modules)
