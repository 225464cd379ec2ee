"""Puts a whole server together, in the order in which its parts need each other, and takes it apart again."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from transcriber.calls.session_manager import AdmissionPolicy, SessionManager, SessionParts
from transcriber.observability.metrics import Metrics
from transcriber.outbox.journal_recovery import JournalRecovery
from transcriber.recognition.capacity import Capacity
from transcriber.recognition.ports import Engine
from transcriber.recognition.retranscription import retranscribe
from transcriber.runtime.background import run_in_background
from transcriber.runtime.cancellation import cancel
from transcriber.server.listeners import bind, serve_http
from transcriber.server.model_loader import ModelLoader
from transcriber.server.readiness import degradations, readiness
from transcriber.server.recognition import open_recognition
from transcriber.server.storage import open_storage
from transcriber.settings import local_key
from transcriber.settings.definition import Settings
from transcriber.settings.host_address import url_of
from transcriber.store.redis_store import RedisStore
from transcriber.web.services import Services
from transcriber.web.transport.certificate import Certificate

log = logging.getLogger(__name__)
FINISH_S = 30.0
"""How long a stream that has ended may take to decode and write its last words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server, for whoever started it."""

    url: str
    settings: Settings
    engine: Engine
    sessions: SessionManager
    store: RedisStore
    max_tracks: int
    change_model: Callable[[], Awaitable[None]]
    """Look which model the settings name now, and let new calls have it."""
    certificate: Certificate | None = None
    local_key: str = ""
    """Its own key, where one is wanted and the settings have none."""


@asynccontextmanager
async def running(
    settings: Settings, *, engine: Engine | None = None, report: Callable[[str], None] = log.info
) -> AsyncIterator[Server]:
    """A server that accepts calls inside the block; behind it live calls were finished and everything is gone.

    `engine` instead of the model that the settings name. Leaving drains for `settings.drain_s` unless
    `server.sessions.hurry()` was called. Raises ConfigError (address), ModelError, StoreError.
    """
    async with AsyncExitStack() as stack:
        certificate = Certificate(settings.tls_cert, settings.tls_key) if settings.tls_cert else None
        sockets = bind(settings, stack)
        own_api_key = local_key.obtain(settings.data_dir) if settings.wants_own_key else ""
        model_loader = ModelLoader(settings, workers=settings.workers or os.cpu_count() or 1, report=report)
        loading = asyncio.create_task(model_loader.default(engine))
        stack.push_async_callback(cancel, loading)
        metrics = Metrics()
        metrics.tasks.set_function(partial(_count_tasks, asyncio.get_running_loop()))
        store, outbox = await open_storage(settings, metrics, stack, report)
        recognition = await open_recognition(settings, model_loader, loading, stack)
        outbox.takeover.recovery.set_result(JournalRecovery(store.history, partial(retranscribe, recognition.service)))
        parts = SessionParts(ears=recognition.service, outbox=outbox, tickets=store.tickets, metrics=metrics)
        sessions = SessionManager(_admission_policy(settings, recognition.capacity), parts)
        run_in_background(stack, sessions.watch(), name="ending silent streams")
        run_in_background(stack, sessions.tick(), name="noticing tracks whose frames have stopped")
        services = Services(
            settings=settings,
            local_key=own_api_key,
            history=store.history,
            feed=store.feed,
            tickets=store.tickets,
            sessions=sessions,
            readiness=readiness(settings, store, outbox),
            degradations=degradations(store, outbox),
            metrics=metrics,
            model=recognition.about,
            log_budget=parts.log_budget,
        )
        await serve_http(services, sockets, certificate, stack, report)
        stack.push_async_callback(sessions.drain, settings.drain_s)
        yield Server(
            url=url_of("https" if certificate else "http", *sockets.api.getsockname()[:2]),
            settings=settings,
            engine=recognition.engine,
            sessions=sessions,
            store=store,
            max_tracks=sessions.rules.max_tracks(),
            change_model=recognition.change_model,
            certificate=certificate,
            local_key=own_api_key,
        )


def _count_tasks(loop: asyncio.AbstractEventLoop) -> int:
    return len(asyncio.all_tasks(loop))


def _admission_policy(settings: Settings, capacity: Capacity) -> AdmissionPolicy:
    return AdmissionPolicy(
        max_tracks=(lambda: settings.max_tracks) if settings.max_tracks else capacity.tracks,
        account_sids=settings.twilio_account_sid,
        require_ticket=settings.require_ticket,
        inactivity_s=settings.inactivity_s,
        finish_s=FINISH_S,
    )
