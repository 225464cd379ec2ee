"""Real reverse proxies in front of a real server, asked from another network namespace, as from another machine."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.proxy.configurations import CONFIGURATIONS
from tests.proxy.shipped import NAME, SHIPPED, Place
from transcriber.telephony.simulator.certificate_pinning import fingerprint_of

WITHIN_S = 40.0


@dataclass(frozen=True, slots=True)
class Network:
    """A namespace and the address at which this machine is reached from there."""

    name: str
    here: str


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=20)


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    """A namespace of this test run alone, joined to this machine by a pair of interfaces."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces want root and iproute2: make proxy")
    tag, block = secrets.token_hex(3), secrets.randbelow(250)
    name, near, far = f"outside-{tag}", f"tn{tag}", f"tf{tag}"
    here, there = f"10.213.{block}.1", f"10.213.{block}.2"
    try:
        _run("ip", "netns", "add", name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    try:
        _run("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        _run("ip", "address", "add", f"{here}/30", "dev", near)
        _run("ip", "link", "set", near, "up")
        _run("ip", "-n", name, "address", "add", f"{there}/30", "dev", far)
        _run("ip", "-n", name, "link", "set", far, "up")
        _run("ip", "-n", name, "link", "set", "lo", "up")
        yield Network(name, here)
    finally:
        _run("ip", "netns", "del", name)  # and with it the pair of interfaces


class Outsider:
    """Somebody on the other machine."""

    def __init__(self, child: asyncio.subprocess.Process, here: str) -> None:
        self.here = here
        """The address at which this machine is reached from there."""
        self._child = child

    async def ask(self, address: tuple[str, int], raw: str, *, tls: bool = False) -> int:
        """The status that exactly these bytes are answered with."""
        return int((await self._do({"address": address, "raw": raw, "tls": tls}))["status"])

    async def call(self, **target: str) -> dict[str, Any]:
        """A call: `{"closed": code}` or `{"refused": why}`."""
        return await self._do(target)

    async def _do(self, job: dict[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._child.stdin, self._child.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(job).encode() + b"\n")
        await stdin.drain()
        answer: dict[str, Any] = json.loads(await asyncio.wait_for(stdout.readline(), WITHIN_S))
        return answer


@pytest.fixture
async def outsider(network: Network) -> AsyncIterator[Outsider]:
    child = await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", network.name, sys.executable, "-m", "tests.proxy.outsider"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    yield Outsider(child, network.here)
    assert child.stdin is not None
    child.stdin.close()
    await asyncio.wait_for(child.wait(), WITHIN_S)


Address = tuple[str, int]
OpenProxy = Callable[[str, str], Awaitable[Address]]


@pytest.fixture
async def proxy(network: Network, tmp_path: Path) -> AsyncIterator[OpenProxy]:
    """Starts one: `await proxy("nginx", server_url)` is the address at which the outsider reaches it."""
    async with AsyncExitStack() as stack:

        async def start(kind: str, server_url: str) -> Address:
            found = CONFIGURATIONS[kind]
            if shutil.which(found.program) is None:
                pytest.skip(f"{found.program} is not here: make proxy")
            port = free_port(network.here)
            folder = tmp_path / kind.replace(" ", "-")
            folder.mkdir()
            file = folder / "configuration"
            file.write_text(found.text(f"{network.here}:{port}", server_url.removeprefix("http://"), folder))
            argv = (found.program, *(flag.format(file=file, folder=folder) for flag in found.flags))
            child = await stack.enter_async_context(_running(*argv, home=folder))
            await _listening(child, (network.here, port))
            return network.here, port

        yield start


@asynccontextmanager
async def _running(*argv: str, home: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Asked to end, not killed: a master takes its workers with it."""
    environment = os.environ | {"XDG_CONFIG_HOME": str(home), "XDG_DATA_HOME": str(home)}
    with (home / "said.log").open("wb") as said:
        child = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, stdout=said, stderr=said, env=environment
        )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.terminate()
        await asyncio.wait_for(child.wait(), WITHIN_S)


async def _listening(child: asyncio.subprocess.Process, address: Address) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not _listens(*address):
            assert child.returncode is None, "the proxy does not start"
            await asyncio.sleep(0.02)


def _listens(host: str, port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex((host, port)) == 0


def free_port(host: str = "127.0.0.1") -> int:
    """One that nobody listens on."""
    with socket.create_server((host, 0)) as free:
        return int(free.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Front:
    """A running proxy with a file of deploy/, by name; `fingerprint` is that of its certificate."""

    kind: str
    address: Address
    plain: Address
    metrics: Address
    fingerprint: bytes
    child: asyncio.subprocess.Process
    folder: Path

    @property
    def url(self) -> str:
        """With TLS."""
        return f"https://{self.address[0]}:{self.address[1]}"

    def reload(self) -> bool:
        """Let it read its file again, as after a change; whether it can."""
        name = SHIPPED[self.kind].reload
        if name:
            self.child.send_signal(signal.Signals[name])
        return bool(name)


OpenFront = Callable[..., Awaitable[Front]]


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[OpenFront]:
    """Starts one: `await front("nginx", ("127.0.0.1:1", "127.0.0.1:2"), host="127.0.0.1")`."""
    pair = trustme.CA().issue_cert(NAME, "localhost", "127.0.0.1")
    certificate, key = tmp_path / "public.crt", tmp_path / "public.key"
    certificate.write_bytes(b"".join(blob.bytes() for blob in pair.cert_chain_pems))
    key.write_bytes(pair.private_key_pem.bytes())
    async with AsyncExitStack() as stack:

        async def start(kind: str, servers: tuple[str, ...], *, host: str = "127.0.0.1") -> Front:
            found = SHIPPED[kind]
            if shutil.which(found.program) is None:
                pytest.skip(f"{found.program} is not here: make proxy")
            folder = tmp_path / f"front-{kind}"
            folder.mkdir()
            tls, plain, inside = (host, free_port(host)), (host, free_port(host)), ("127.0.0.1", free_port())
            places = [f"{name}:{port}" for name, port in (tls, plain, inside)]
            file = folder / "configuration"
            file.write_text(found.text(Place(places[0], places[1], places[2], servers, certificate, key, folder)))
            argv = (found.program, *(flag.format(file=file, folder=folder) for flag in found.flags))
            child = await stack.enter_async_context(_running(*argv, home=folder))
            await _listening(child, tls)
            return Front(kind, tls, plain, inside, fingerprint_of(str(certificate)), child, folder)

        yield start
