"""Puts a whole server together, in the order in which its parts need each other, and takes it apart again."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from transcriber.catalog import DEMO
from transcriber.cli.engines import Engines
from transcriber.config import Settings
from transcriber.core.transcript import iso_time
from transcriber.engine.capacity import Capacity
from transcriber.engine.hearing import Ears
from transcriber.engine.lanes import Lanes
from transcriber.errors import ConfigError, StoreError
from transcriber.metrics import Metrics
from transcriber.ports import Engine
from transcriber.sessions import Rules, Sessions
from transcriber.store.embedded import EmbeddedRedis
from transcriber.store.redis import RedisStore, open_store
from transcriber.web.app import create_app
from transcriber.web.protocol import Runner
from transcriber.web.services import Services

log = logging.getLogger(__name__)
FINISH_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server, for whoever started it."""

    url: str
    settings: Settings
    engine: Engine
    sessions: Sessions
    store: RedisStore
    max_tracks: int
    change_model: Callable[[], Awaitable[None]]
    """Look which model the settings name now, and let new calls have it."""


@asynccontextmanager
async def running(
    settings: Settings, *, engine: Engine | None = None, say: Callable[[str], None] = log.info
) -> AsyncIterator[Server]:
    """A server that accepts calls inside the block; behind it live calls were finished and everything is gone.

    `engine` instead of the model that the settings name. Leaving drains for `settings.drain_s` unless
    `server.sessions.hurry()` was called. Raises ConfigError (address), ModelError, StoreError.
    """
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(closing(_listen(settings)))
        workers = settings.workers or os.cpu_count() or 1
        engines = Engines(settings, workers=workers, say=say)
        loading = asyncio.create_task(asyncio.to_thread(engines.default, engine))
        stack.push_async_callback(_settle, loading)
        store = await _open_store(settings, stack, say)
        pool, cost = await loading
        lanes = Lanes(workers=workers)
        stack.push_async_callback(asyncio.to_thread, lanes.close)
        ears = Ears(
            lanes=lanes,
            models=engines.models(pool),
            gated=settings.speech_gate,
            endpoint_ms=settings.endpoint_ms,
            strict=settings.strict_model,
        )
        metrics = Metrics()
        capacity = Capacity(lanes.pace, workers=workers, speech_cost=cost, gated=settings.speech_gate)
        rules = _rules(settings, capacity)
        sessions = Sessions(rules, ears=ears, outlet=store.outlet, tickets=store.tickets, metrics=metrics)
        watching = asyncio.create_task(sessions.watch(), name="inactivity")
        stack.push_async_callback(_settle, watching)
        services = Services(
            settings=settings,
            archive=store.archive,
            feed=store.feed,
            tickets=store.tickets,
            sessions=sessions,
            readiness=_readiness(store),
            metrics=metrics,
            model=lambda: _about(ears.models.default.engine),
        )
        runner = Runner(create_app(services), access_log=None, shutdown_timeout=5.0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, listening).start()
        stack.push_async_callback(sessions.drain, settings.drain_s)
        yield Server(
            url=_url(listening),
            settings=settings,
            engine=pool.engine,
            sessions=sessions,
            store=store,
            max_tracks=rules.max_tracks(),
            change_model=lambda: engines.change(ears.models, capacity),
        )


def _about(engine: Engine) -> Mapping[str, Any]:
    return {"model": engine.model, "language": engine.language, "demo": engine.model == DEMO}


def _rules(settings: Settings, capacity: Capacity) -> Rules:
    return Rules(
        max_tracks=(lambda: settings.max_tracks) if settings.max_tracks else capacity.tracks,
        account_sid=settings.twilio_account_sid,
        require_ticket=settings.require_ticket,
        inactivity_s=settings.inactivity_s,
        finish_s=FINISH_S,
    )


def _listen(settings: Settings) -> socket.socket:
    """Taken first: a port in use is said before anything is loaded."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"cannot listen on {settings.host} port {settings.port}: {reason}") from None


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _open_store(settings: Settings, stack: AsyncExitStack, say: Callable[[str], None]) -> RedisStore:
    """The store on the Redis of the settings, or on one of our own."""
    redis_url = settings.redis_url
    if not redis_url:
        redis_url = (await stack.enter_async_context(EmbeddedRedis(settings.data_dir / "redis"))).url
        say(f"redis: a private server of our own, data in {settings.data_dir / 'redis'}")
    store = await stack.enter_async_context(
        await open_store(redis_url, prefix=settings.redis_prefix, ttl_s=settings.history_ttl_s)
    )
    if not settings.redis_url and (crashed := await store.outlet.interrupt_all(at=iso_time(time.time()))):
        say(f"redis: {crashed} calls were live when an earlier server died; they are marked interrupted")
    return store


def _readiness(store: RedisStore) -> Callable[[], Awaitable[Mapping[str, str]]]:
    async def wrong() -> Mapping[str, str]:
        try:
            await store.ping()
        except StoreError as error:
            return {"redis": str(error)}
        return {}

    return wrong


async def _settle(task: asyncio.Task[object]) -> None:
    """End a task of ours, whatever became of it; its error was raised where it was awaited."""
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task
