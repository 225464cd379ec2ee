"""A whole server on real parts: real Redis, a scripted engine or the bundled model, dialled over a real socket."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.models import ProcessOf
from tests.phone import Phone
from transcriber.errors import CallNotFound
from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.recognition.worker.protocol import ScriptedModel
from transcriber.server.server import Server, running
from transcriber.server.tuning import Tuning
from transcriber.settings.definition import Settings

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Running:
    """A server and what a test does with it."""

    server: Server
    phone: Phone

    async def events(self, call_sid: str) -> list[Event]:
        """The kept events of a call, in order."""
        return [json.loads(text) for text in await self.server.store.history.events(call_sid)]

    async def ended(self, call_sid: str, *, times: int = 1, within_s: float = 30) -> list[Event]:
        """All events of a call once it has ended, as often as that: a later stream resumes it."""
        async with self.server.store.feed.follow(call_sid) as live, asyncio.timeout(within_s):
            while await self._ends(call_sid) < times:
                async for message in live:
                    if json.loads(message.json)["type"] == "call.ended":
                        break
        return await self.events(call_sid)

    async def live(self, streams: int) -> None:
        """Until so many streams are live."""
        async with asyncio.timeout(20):
            while self.server.sessions.live_streams != streams:  # noqa: ASYNC110 - bounded, and nothing tells
                await asyncio.sleep(0.005)

    async def known(self, call_sid: str) -> Event:
        """The call's summary, as soon as its beginning is written."""
        async with asyncio.timeout(20):
            while True:
                with suppress(CallNotFound):
                    return await self.server.store.history.call(call_sid)
                await asyncio.sleep(0.01)

    async def _ends(self, call_sid: str) -> int:
        try:
            return [event["type"] for event in await self.events(call_sid)].count("call.ended")
        except CallNotFound:
            return 0


Serve = Callable[..., Any]


@pytest.fixture
async def serve(redis_url: str, tmp_path: Path, process_of: ProcessOf) -> AsyncIterator[Serve]:
    """Starts servers: `await serve(model=…, **settings)`; a scripted model unless one is given."""
    async with serving(redis_url, tmp_path, process_of) as start:
        yield start


@asynccontextmanager
async def serving(
    redis_url: str, data_dir: Path, process_of: ProcessOf, *, tuning: Tuning | None = None
) -> AsyncIterator[Serve]:
    """What `serve` gives, for whoever has a loop of its own; the servers stop at the end."""
    async with AsyncExitStack() as stack:

        async def start(
            *,
            model: ModelProcess | None = None,
            phone: Mapping[str, Any] | None = None,
            tuning: Tuning | None = tuning,
            **more: Any,
        ) -> Running:
            chosen: dict[str, Any] = {
                "port": 0,
                "data_dir": data_dir,
                "redis_url": redis_url,
                "redis_prefix": f"test{secrets.token_hex(4)}",
                "history_ttl_s": 600,
                "max_tracks": 100,
                "workers": 2,
                "drain_s": 0,
                "speech_gate": model is not None,  # the scripted model hears silence as well
            } | more
            settings = Settings(**chosen)
            server = await stack.enter_async_context(
                running(
                    settings,
                    model_process=model or process_of(ScriptedModel()),
                    tuning=tuning,
                )
            )
            return Running(server, Phone(server.url, **(phone or {})))

        yield start


@asynccontextmanager
async def subscribed(running: Running, pattern: str) -> AsyncIterator[asyncio.Queue[Event]]:
    """What is published on `<prefix>:<pattern>` from now on, as any subscriber of Redis sees it."""
    queue: asyncio.Queue[Event] = asyncio.Queue()
    pubsub = running.server.store.client.pubsub()
    await pubsub.psubscribe(f"{running.server.settings.redis_prefix}:{pattern}")
    await pubsub.get_message(timeout=5)

    async def read() -> None:
        async for message in pubsub.listen():
            if message["type"] == "pmessage":
                queue.put_nowait({"channel": message["channel"], "json": message["data"]})

    reader = asyncio.create_task(read())
    try:
        yield queue
    finally:
        reader.cancel()
        await asyncio.wait((reader,))
        await pubsub.aclose()  # type: ignore[no-untyped-call]
