"""Puts a whole server together, in the order in which its parts need each other, and takes it apart again."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from transcriber.cli.background import settle, tend
from transcriber.cli.engines import Engines
from transcriber.cli.recognition import open_recognition
from transcriber.cli.storage import limping, open_storage, readiness
from transcriber.config import Settings
from transcriber.engine.capacity import Capacity
from transcriber.engine.rehearing import rehear
from transcriber.errors import ConfigError
from transcriber.metrics import Metrics
from transcriber.ports import Engine
from transcriber.sessions import Parts, Rules, Sessions
from transcriber.store.recovery import Recovery
from transcriber.store.redis import RedisStore
from transcriber.web.address import networks
from transcriber.web.app import create_app
from transcriber.web.certificate import Certificate
from transcriber.web.connections import Connections, most_connections
from transcriber.web.services import Services
from transcriber.web.site import BoundedSite

log = logging.getLogger(__name__)
FINISH_S = 30.0
UNCONFIRMED_MS = 60_000
LIBRARIES = ("asyncio", "aiohttp.server", "aiohttp.web", "aiohttp.websocket", "aiohttp.internal")
"""Loggers that write what strangers cause."""


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
    certificate: Certificate | None = None


@asynccontextmanager
async def running(
    settings: Settings, *, engine: Engine | None = None, say: Callable[[str], None] = log.info
) -> AsyncIterator[Server]:
    """A server that accepts calls inside the block; behind it live calls were finished and everything is gone.

    `engine` instead of the model that the settings name. Leaving drains for `settings.drain_s` unless
    `server.sessions.hurry()` was called. Raises ConfigError (address), ModelError, StoreError.
    """
    async with AsyncExitStack() as stack:
        certificate = Certificate(settings.tls_cert, settings.tls_key) if settings.tls_cert else None
        listening = stack.enter_context(closing(_listen(settings)))
        engines = Engines(settings, workers=settings.workers or os.cpu_count() or 1, say=say)
        loading = asyncio.create_task(engines.default(engine))
        stack.push_async_callback(settle, loading)
        metrics = Metrics()
        metrics.tasks.set_function(partial(_tasks, asyncio.get_running_loop()))
        store, outbox = await open_storage(settings, metrics, stack, say)
        recognition = await open_recognition(settings, engines, loading, stack)
        outbox.recovery.set_result(Recovery(store.archive, partial(rehear, recognition.ears)))
        parts = Parts(ears=recognition.ears, outbox=outbox, tickets=store.tickets, metrics=metrics)
        sessions = Sessions(_rules(settings, recognition.capacity), parts)
        tend(stack, sessions.watch(), name="ending silent streams")
        tend(stack, sessions.tick(), name="noticing tracks whose frames have stopped")
        services = Services(
            settings=settings,
            archive=store.archive,
            feed=store.feed,
            tickets=store.tickets,
            sessions=sessions,
            readiness=readiness(settings, store, outbox),
            limping=limping(store, outbox),
            metrics=metrics,
            model=recognition.about,
            log_budget=parts.log_budget,
        )
        await _accept(services, listening, certificate, stack)
        stack.push_async_callback(sessions.drain, settings.drain_s)
        yield Server(
            url=_url(listening, "https" if certificate else "http"),
            settings=settings,
            engine=recognition.engine,
            sessions=sessions,
            store=store,
            max_tracks=sessions.rules.max_tracks(),
            change_model=recognition.change_model,
            certificate=certificate,
        )


async def _accept(
    services: Services, listening: socket.socket, certificate: Certificate | None, stack: AsyncExitStack
) -> None:
    budget = services.log_budget
    stack.enter_context(budget.over(*LIBRARIES))
    tend(stack, budget.watch(), name="telling what the log leaves out")
    connections = Connections(services.metrics, most=most_connections(), log_budget=budget)
    tend(stack, connections.watch(), name="cutting overdue connections")
    if certificate is not None:
        tend(stack, certificate.watch(), name="looking at the certificate")
    runner = web.AppRunner(create_app(services), access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    context = certificate.context if certificate else None
    proxies = networks(services.settings.trusted_proxies)
    await BoundedSite(connections, runner, proxies=proxies, sock=listening, ssl_context=context).start()


def _tasks(loop: asyncio.AbstractEventLoop) -> int:
    return len(asyncio.all_tasks(loop))


def _rules(settings: Settings, capacity: Capacity) -> Rules:
    return Rules(
        max_tracks=(lambda: settings.max_tracks) if settings.max_tracks else capacity.tracks,
        account_sids=settings.twilio_account_sid,
        require_ticket=settings.require_ticket,
        inactivity_s=settings.inactivity_s,
        finish_s=FINISH_S,
    )


def _listen(settings: Settings) -> socket.socket:
    """Taken first: a port in use is said before anything is loaded."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listening = socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"cannot listen on {settings.host} port {settings.port}: {reason}") from None
    # Connections inherit it: a peer that has not confirmed a byte for so long is gone, whatever it looks like.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNCONFIRMED_MS)
    return listening


def _url(listening: socket.socket, scheme: str) -> str:
    host, port = listening.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
