"""Ten thousand connections that never say what they want, and calls beside them that notice nothing."""

import asyncio
import json
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.hostile import fuzz
from tests.hostile.frames import upgraded
from tests.phone import Phone
from tests.process import process, wait_until_ready
from transcriber.store.redis.private_server import socket_url
from transcriber.store.redis_store import open_store

pytestmark = [pytest.mark.hostile, pytest.mark.timeout(300)]
UPGRADED, SILENT, AT_ONCE, HEALTHY = 10_000, 2000, 200, 2
SPARE_FILES = 500


@pytest.fixture
def crowd() -> Iterator[int]:
    """How many sockets this machine lets us have; the limit is put back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield min(UPGRADED, hard - SILENT - SPARE_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def words(data_dir: Path, *call_sids: str) -> list[list[str]]:
    """The finals of each call, in any order, once it has ended."""
    found = []
    async with await open_store(socket_url(data_dir / "redis"), prefix="transcripts", ttl_s=0) as store:
        for sid in call_sids:
            async with asyncio.timeout(60), store.feed.follow(sid) as live:
                if (await store.history.call(sid))["status"] == "live":
                    async for message in live:
                        if json.loads(message.json)["type"] == "call.ended":
                            break
            events = [json.loads(text) for text in await store.history.events(sid)]
            found.append(sorted(event["text"] for event in events if event["type"] == "final"))
            assert not [event for event in events if event["type"] in ("gap", "stream.error")]
    return found


async def wait_in_vain(url: str, number: int) -> Counter[int]:
    """Upgrade so many and say nothing; how often each close code came."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> int:
        async with AsyncExitStack() as stack:
            async with gate:
                socket = await stack.enter_async_context(upgraded(url))
            return await socket.closed(within_s=120)

    return Counter(await asyncio.gather(*(one() for _ in range(number))))


async def knock_and_wait(url: str, number: int) -> None:
    """Connect so many and send nothing until the server cuts them."""
    address = urlsplit(url)
    opened = [await asyncio.open_connection(address.hostname, address.port) for _ in range(number)]
    async with asyncio.timeout(120):
        for reader, writer in opened:
            assert await reader.read() == b""
            writer.close()


async def test_a_crowd_is_sent_away_and_calls_beside_it_lose_no_word(tmp_path: Path, crowd: int) -> None:
    async with process("--data-dir", str(tmp_path), "--max-tracks", str(4 * crowd), "--log-level", "error") as child:
        url = await wait_until_ready(child)
        async with Phone(url).call() as alone:
            await alone.play()
            assert await alone.hang_up(within_s=60) == 1000
        before_mb = fuzz.rss_mb(child.pid)

        async def talk() -> str:
            async with Phone(url).call(speed=1) as call:
                await call.play()
                assert await call.hang_up(within_s=60) == 1000
                return call.call_sid

        talking = [asyncio.create_task(talk()) for _ in range(HEALTHY)]
        codes, _ = await asyncio.gather(wait_in_vain(url, crowd), knock_and_wait(url, SILENT))
        print(f"{crowd} upgraded, {SILENT} silent: {dict(codes)}; {before_mb:.0f} -> {fuzz.rss_mb(child.pid):.0f} MB")
        assert codes == {1008: crowd}
        expected, *heard = await words(tmp_path, alone.call_sid, *await asyncio.gather(*talking))
        assert expected
        assert heard == [expected] * HEALTHY


async def test_a_crowd_beyond_the_room_is_refused_before_101(tmp_path: Path) -> None:
    async with process("--data-dir", str(tmp_path), "--max-tracks", "20", "--log-level", "error") as child:
        url = await wait_until_ready(child)

        async def one() -> str:
            try:
                async with upgraded(url) as socket:
                    return str(await socket.closed(within_s=60))
            except ConnectionRefusedError as refusal:
                return str(refusal)

        async with Phone(url).call() as call:
            answers = Counter(await asyncio.gather(*(one() for _ in range(500))))
            await call.play(3000)
            assert await call.hang_up(within_s=60) == 1000
        assert answers["1008"] == 9
        assert answers["HTTP/1.1 503 Service Unavailable"] == 491
