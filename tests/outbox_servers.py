"""A Redis that gets into trouble, and servers' outboxes on it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.own_redis import OwnRedis, own_redis
from tests.sample_events import STARTED_MS, call_ended, call_started, final, stream_started, stream_stopped
from transcriber.observability.metrics import Metrics
from transcriber.outbox.outbox import Outbox
from transcriber.outbox.server_directory import ServerDirectory
from transcriber.outbox.spool import MAX_FILE_BYTES
from transcriber.outbox.stream_publisher import StreamPublisher
from transcriber.store.leases import LEASE_S
from transcriber.store.redis_store import RedisStore, open_store


@pytest.fixture
async def redis_server() -> AsyncIterator[OwnRedis]:
    """A redis-server of this test's own."""
    async with own_redis() as server:
        yield server


@dataclass(frozen=True, slots=True)
class OutboxServer:
    """One server's outbox, its directory and the store behind it."""

    outbox: Outbox
    directory: ServerDirectory
    store: RedisStore
    metrics: Metrics
    dead: asyncio.Event

    async def aclose(self) -> None:
        """In order, unless it has died."""
        if not self.dead.is_set():
            await self.outbox.aclose()

    def begin(self, call_sid: str = "CA1", stream_sid: str = "MZ1", *, at_ms: int = STARTED_MS) -> StreamPublisher:
        """A new stream."""
        return self.outbox.open_stream(call_started(call_sid), stream_started(call_sid, stream_sid), at_ms=at_ms)

    async def close(self, publisher: StreamPublisher) -> None:
        """The stream's end."""
        lease = publisher.lease
        await publisher.close(stream_stopped(lease.call_sid, lease.stream_sid), call_ended(lease.call_sid))

    async def events(self, call_sid: str = "CA1") -> list[dict[str, Any]]:
        """What is kept of a call."""
        return [json.loads(text) for text in await self.store.history.events(call_sid)]

    async def delivered(self) -> None:
        """Until nothing waits."""
        async with asyncio.timeout(20):
            while self.outbox.waiting:  # noqa: ASYNC110 - bounded, and nothing tells
                await asyncio.sleep(0.01)

    async def die(self) -> None:
        """What a crash leaves: nothing more is written, the lock is free, the file stays."""
        for publisher in list(self.outbox.publishers):
            publisher.task.cancel()
            await asyncio.wait((publisher.task,))
        self.dead.set()
        self.directory.release()


def say(publisher: StreamPublisher, *texts: str) -> None:
    """Finals of a stream."""
    for text in texts:
        publisher.send(final(publisher.lease.call_sid, text, stream_sid=publisher.lease.stream_sid))


OpenServer = Callable[..., Awaitable[OutboxServer]]


@pytest.fixture
async def open_server(redis_server: OwnRedis, tmp_path: Path) -> AsyncIterator[OpenServer]:
    """Servers on the same Redis and the same data directory."""
    async with AsyncExitStack() as stack:

        async def start(
            *, lease_s: float = LEASE_S, max_spool_bytes: int = MAX_FILE_BYTES, transcribes: bool = True
        ) -> OutboxServer:
            directory, metrics = ServerDirectory.create(tmp_path / "outbox"), Metrics()
            store = await open_store(
                redis_server.url, prefix="test", ttl_s=3600, owner=directory.owner, lease_s=lease_s
            )
            await stack.enter_async_context(store)
            outbox = Outbox(
                directory, store.event_log, metrics, max_spool_bytes=max_spool_bytes, transcribes=transcribes
            )
            server = OutboxServer(outbox, directory, store, metrics, asyncio.Event())
            stack.push_async_callback(server.aclose)
            return server

        yield start
