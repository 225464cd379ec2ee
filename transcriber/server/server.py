"""Puts a whole server together, in the order in which its parts need each other, and takes it apart again."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from transcriber.calls.admission import AdmissionRules
from transcriber.calls.session_manager import SessionManager, SessionParts, SessionTimeouts
from transcriber.observability.metrics import Metrics
from transcriber.outbox.journal_recovery import JournalRecovery
from transcriber.recognition.capacity import Capacity
from transcriber.recognition.retranscription import retranscribe
from transcriber.recognition.supervisor.loaded_model import LoadedModel
from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.runtime.background import run_in_background
from transcriber.runtime.cancellation import cancel
from transcriber.server.listeners import bind, serve_http
from transcriber.server.model_loader import ModelLoader
from transcriber.server.readiness import degradations, readiness
from transcriber.server.recognition_setup import RecognitionStack, open_recognition
from transcriber.server.storage import open_storage
from transcriber.server.tuning import Tuning
from transcriber.settings import local_key
from transcriber.settings.definition import Settings
from transcriber.settings.host_address import url_of
from transcriber.store.redis_store import RedisStore
from transcriber.web.services import Services
from transcriber.web.transport.certificate import Certificate

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server, for whoever started it."""

    url: str
    services: Services
    """What its web handlers work with."""
    recognition: RecognitionStack
    store: RedisStore
    certificate: Certificate | None

    @property
    def settings(self) -> Settings:
        """What it was started with."""
        return self.services.settings

    @property
    def sessions(self) -> SessionManager:
        """Its live streams."""
        return self.services.sessions


@asynccontextmanager
async def running(
    settings: Settings,
    *,
    model_process: ModelProcess | None = None,
    report: Callable[[str], None] = log.info,
    tuning: Tuning | None = None,
) -> AsyncIterator[Server]:
    """A server that accepts calls inside the block; behind it live calls were finished and everything is gone.

    `model_process` holds what is used instead of the model that the settings name. Leaving drains for
    `settings.drain_s` unless `server.sessions.skip_drain()` was called. Raises ConfigError (address), ModelError,
    StoreError.
    """
    tuning = tuning or Tuning()
    async with AsyncExitStack() as stack:
        certificate = Certificate(settings.tls_cert, settings.tls_key) if settings.tls_cert else None
        sockets = bind(settings, stack)
        own_api_key = local_key.load_or_create(settings.data_dir) if settings.needs_local_key else ""
        metrics = Metrics()
        model_loader = ModelLoader(settings, metrics, report=report)
        loading = asyncio.create_task(model_loader.default(model_process))
        stack.push_async_callback(_abandon, loading)
        metrics.tasks.set_function(partial(_count_tasks, asyncio.get_running_loop()))
        store, outbox = await open_storage(settings, metrics, stack, report, tuning)
        recognition = await open_recognition(settings, model_loader, loading, stack)
        outbox.takeover.recovery.set_result(JournalRecovery(store.history, partial(retranscribe, recognition.service)))
        parts = SessionParts(recognition=recognition.service, outbox=outbox, tickets=store.tickets, metrics=metrics)
        sessions = _open_sessions(settings, recognition.capacity, parts, tuning, stack)
        run_in_background(stack, store.status_callbacks.run(sessions.heed_callback), name="taking status callbacks")
        services = Services(
            settings=settings,
            local_key=own_api_key,
            history=store.history,
            feed=store.feed,
            tickets=store.tickets,
            status_callbacks=store.status_callbacks,
            sessions=sessions,
            readiness=readiness(settings, store, outbox),
            degradations=degradations(store, outbox),
            metrics=metrics,
            model=recognition.about,
            log_limiter=parts.log_limiter,
            client_limits=tuning.client_limits,
        )
        listener = await serve_http(services, sockets, certificate, stack, report)
        stack.push_async_callback(sessions.drain, settings.drain_s)
        if settings.reuse_port:  # the others of the port take new calls
            stack.push_async_callback(listener.leave)
        url = url_of("https" if certificate else "http", *sockets.api.getsockname()[:2])
        yield Server(url=url, services=services, recognition=recognition, store=store, certificate=certificate)


async def _abandon(loading: asyncio.Task[LoadedModel]) -> None:
    """End what was loaded, also for a server that then did not start. May be repeated."""
    await cancel(loading)
    if not loading.cancelled() and loading.exception() is None:
        await loading.result().close()


def _count_tasks(loop: asyncio.AbstractEventLoop) -> int:
    return len(asyncio.all_tasks(loop))


def _open_sessions(
    settings: Settings, capacity: Capacity, parts: SessionParts, tuning: Tuning, stack: AsyncExitStack
) -> SessionManager:
    """The registry of live streams, which watches them until the stack ends."""
    rules = AdmissionRules(
        max_tracks=(lambda: settings.max_tracks) if settings.max_tracks else capacity.tracks,
        account_sids=settings.twilio_account_sid,
        require_ticket=settings.require_ticket,
        takes_streams=not settings.no_media,
    )
    timeouts = SessionTimeouts(inactivity_s=settings.inactivity_s, callback_grace_s=tuning.callback_grace_s)
    sessions = SessionManager(rules, parts, timeouts)
    run_in_background(stack, sessions.watch_inactivity(), name="ending silent streams")
    run_in_background(stack, sessions.watch_stalled_tracks(), name="noticing tracks whose frames have stopped")
    return sessions
