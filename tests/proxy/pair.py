"""Two servers on ports that they keep over a restart, with what Twilio and the API want, behind any proxy."""

import asyncio
import secrets
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from tests.phone import Phone
from tests.process import process, wait_until_ready
from tests.proxy.conftest import WITHIN_S, Front, free_port

TOKEN, KEY, PUBLIC = "12345" * 6, "k" * 32, "https://media.example.net"
HEADERS = {"Authorization": f"Bearer {KEY}"}


class Pair:
    """Both run at first; number 0 and 1."""

    def __init__(self, stack: AsyncExitStack, environment: dict[str, str]) -> None:
        self.ports = [free_port(), free_port()]
        self.children: list[Process] = []
        self._stack = stack
        self._environment = environment

    @property
    def servers(self) -> tuple[str, str]:
        """Their addresses."""
        return f"127.0.0.1:{self.ports[0]}", f"127.0.0.1:{self.ports[1]}"

    def phone(self, number: int) -> Phone:
        """Twilio, which reaches that server past any proxy."""
        return Phone(f"http://{self.servers[number]}", auth_token=TOKEN, public_url=PUBLIC)

    async def start(self, number: int) -> Process:
        """Run it; ready when this returns."""
        child = await self._stack.enter_async_context(process("--port", str(self.ports[number]), **self._environment))
        await wait_until_ready(child)
        return child

    def stop(self, number: int) -> None:
        """SIGTERM."""
        self.children[number].send_signal(signal.SIGTERM)

    async def killed(self, number: int) -> None:
        """SIGKILL; it has ended when this returns."""
        self.children[number].kill()
        await asyncio.wait_for(self.children[number].wait(), WITHIN_S)

    async def stopped(self, number: int) -> None:
        """It has left by itself. Raises AssertionError for any status but 0."""
        child = self.children[number]
        assert child.stdout is not None
        written = await asyncio.wait_for(child.stdout.read(), WITHIN_S)
        assert await asyncio.wait_for(child.wait(), WITHIN_S) == 0, written.decode()


@asynccontextmanager
async def pair(redis_url: str, folder: Path, **settings: str) -> AsyncIterator[Pair]:
    """With these settings besides (`MAX_TRACKS="2"`)."""
    chosen = {
        "REDIS_URL": redis_url,
        "REDIS_PREFIX": f"test{secrets.token_hex(4)}",
        "DATA_DIR": str(folder / "data"),
        "WORKERS": "1",
        "MAX_TRACKS": "200",
        "DRAIN_S": "60",
        "TWILIO_AUTH_TOKEN": TOKEN,
        "PUBLIC_URL": PUBLIC,
        "API_KEYS": KEY,
        "TRUSTED_PROXIES": "127.0.0.1",
    } | settings
    async with AsyncExitStack() as stack:
        found = Pair(stack, {f"TRANSCRIBER_{name}": value for name, value in chosen.items()})
        found.children.extend(await asyncio.gather(found.start(0), found.start(1)))
        yield found


def phone(front: Front, *, token: str = TOKEN) -> Phone:
    """Twilio, which dials through the proxy and signs the public address."""
    return Phone(front.url, auth_token=token, public_url=PUBLIC, fingerprint=front.fingerprint)


def client(front: Front) -> aiohttp.ClientSession:
    """Of the API through the proxy; paths are enough."""
    return aiohttp.ClientSession(front.url, connector=aiohttp.TCPConnector(ssl=aiohttp.Fingerprint(front.fingerprint)))


async def short_call(phone: Phone) -> int:
    """Its close code."""
    async with phone.call() as call:
        await call.play(200)
        return await call.hang_up()
