"""What a server tells systemd on NOTIFY_SOCKET: when it is ready, renews itself, stops."""

import asyncio
import secrets
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.phone import Phone
from tests.process import process, wait_until_ready

WITHIN_S = 20


@pytest.fixture(params=["a file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The address as the environment gives it, and the socket."""
    name = secrets.token_hex(8)
    address = str(tmp_path / "notify") if request.param == "a file" else f"@{name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address if request.param == "a file" else f"\0{name}")
        listening.setblocking(False)
        yield address, listening


async def told(listening: socket.socket) -> list[str]:
    message = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(listening, 4096), WITHIN_S)
    return message.decode().split("\n")


async def test_systemd_is_told_of_every_change(tmp_path: Path, manager: tuple[str, socket.socket]) -> None:
    address, listening = manager
    async with process("--data-dir", str(tmp_path), "--drain-s", "20", NOTIFY_SOCKET=address) as child:
        ready, status = await told(listening)
        url = await wait_until_ready(child)
        assert (ready, status) == ("READY=1", f"STATUS=on {url}")
        child.send_signal(signal.SIGHUP)
        reloading, at = await told(listening)
        assert reloading == "RELOADING=1"
        assert at.startswith("MONOTONIC_USEC=")
        assert await told(listening) == [ready, status]
        async with Phone(url).call() as call:
            await call.play(1000)
            child.send_signal(signal.SIGTERM)
            assert await told(listening) == ["STOPPING=1", "STATUS=1 live streams"]
            await call.play(1000)
            assert await call.hang_up() == 1000
        assert await asyncio.wait_for(child.wait(), WITHIN_S) == 0


async def test_a_manager_that_does_not_listen_stops_no_server(tmp_path: Path) -> None:
    async with process("--data-dir", str(tmp_path), NOTIFY_SOCKET=str(tmp_path / "nobody")) as child:
        await wait_until_ready(child)
        child.send_signal(signal.SIGTERM)
        out, _ = await asyncio.wait_for(child.communicate(), WITHIN_S)
        assert child.returncode == 0
        assert b"is not told: No such file or directory" in out
