"""A viewer that loses its connection 200 times, while server and Redis restart: it reads what the stream holds."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from tests.phone import Phone
from tests.process import process, wait_until_ready
from transcriber.errors import ServerUnreachable
from transcriber.store.redis.private_server import PrivateRedis
from transcriber.store.redis_store import open_store
from transcriber.telephony.simulator import CallIds

RECONNECTIONS = 200
pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]


@dataclass
class Viewer:
    """Follows one call as EventSource does; `read`: ids and texts of numbered events over all connections."""

    url: str
    read: list[tuple[int, str]] = field(default_factory=list)
    connections: int = 0
    partials: int = 0
    luck: random.Random = field(default_factory=lambda: random.Random(5))
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def connected(self, times: int) -> None:
        """Until it has connected so many times."""
        while self.connections < times:
            self.news.clear()
            await self.news.wait()

    async def watch(self) -> None:
        """Connect, leave at a random moment, connect again; for ever."""
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    async with asyncio.timeout(self.luck.uniform(0, 0.1)):
                        await self.follow(session)
                except (TimeoutError, aiohttp.ClientError):
                    await asyncio.sleep(0)  # the next try

    async def follow(self, session: aiohttp.ClientSession) -> None:
        """One connection to its end."""
        headers = {"Last-Event-ID": str(self.read[-1][0])} if self.read else {}
        async with session.get(self.url, headers=headers) as answer:
            if answer.status != 200:
                assert answer.status in (404, 503), answer.status
                return
            self.connections += 1
            self.news.set()
            number = None
            async for line in answer.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "id":
                    number = int(value)
                elif name == "data" and number is not None:
                    self.read.append((number, value))
                elif name == "data":
                    self.partials += 1
                elif not name:
                    number = None


@asynccontextmanager
async def talking(url: str, ids: CallIds) -> AsyncIterator[None]:
    """Streams of one call, one after another, whatever becomes of the server; the last one is hung up."""
    enough = asyncio.Event()

    async def talk() -> None:
        while not enough.is_set():
            try:
                async with Phone(url).call(ids=CallIds(call=ids.call), speed=8) as call:
                    while not enough.is_set() and call.at_ms < 20_000:
                        await call.play(500)
                    await call.hang_up()
            except (ServerUnreachable, TimeoutError):
                await asyncio.sleep(0.05)  # no server is there to tell when it will be

    talk_task = asyncio.create_task(talk())
    yield
    enough.set()
    await talk_task


async def test_a_viewer_that_reconnects_200_times_reads_the_stream(tmp_path: Path, unused_tcp_port: int) -> None:
    ids, url = CallIds(), f"http://127.0.0.1:{unused_tcp_port}"
    viewer = Viewer(f"{url}/v1/calls/{ids.call}/events")
    redis_folder = tmp_path / "redis"

    @asynccontextmanager
    async def server() -> AsyncIterator[asyncio.subprocess.Process]:
        flags = ("--data-dir", str(tmp_path), "--drain-s", "0", "--redis-url", PrivateRedis(redis_folder).url)
        async with process("--port", str(unused_tcp_port), *flags) as child:
            await wait_until_ready(child)
            yield child
            child.send_signal(signal.SIGTERM)
            await child.communicate()

    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(PrivateRedis(redis_folder))
        first = await stack.enter_async_context(AsyncExitStack())
        await first.enter_async_context(server())
        watching = asyncio.create_task(viewer.watch())
        async with talking(url, ids):
            await viewer.connected(RECONNECTIONS // 4)
            await redis.__aexit__(None, None, None)
            redis = await stack.enter_async_context(PrivateRedis(redis_folder))
            await viewer.connected(RECONNECTIONS // 2)
            await first.aclose()
            await stack.enter_async_context(server())
            await viewer.connected(RECONNECTIONS + 1)
        watching.cancel()
        await asyncio.wait({watching})
        assert watching.cancelled(), watching
        async with aiohttp.ClientSession() as session, asyncio.timeout(20):
            await viewer.follow(session)
        async with await open_store(redis.url, prefix="transcripts", ttl_s=0) as store:
            kept = await store.history.events(ids.call)
    assert viewer.read == list(enumerate(kept, 1))
    finals, ends = (sum(f'"type":"{kind}"' in text for text in kept) for kind in ("final", "call.ended"))
    assert (finals > 10, ends > 1, viewer.partials > 0) == (True, True, True), (finals, ends, viewer.partials)
