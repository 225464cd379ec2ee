"""What the web handlers work with, given to them by whoever starts the server."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from transcriber.calls.session_manager import SessionManager
from transcriber.observability.log_rate_limit import LogRateLimiter
from transcriber.observability.metrics import Metrics
from transcriber.settings.definition import Settings
from transcriber.store.ports import CallHistory, Feed, StatusCallbacks, Tickets
from transcriber.web.limits.client_limits import ClientLimits
from transcriber.web.limits.history_reads import ReadLimits


async def _nothing() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts behind the routes.

    `readiness` says by part what keeps new calls out (`{"outbox": "full"}`), or nothing; `degradations` what is wrong
    and does not keep them out (`{"redis": "away: no answer"}`): a word for everybody, behind a colon more for the log.
    """

    settings: Settings
    local_key: str = ""
    """The server's own key, where one is wanted and the settings have none."""
    history: CallHistory
    feed: Feed
    """What is being published now."""
    tickets: Tickets
    status_callbacks: StatusCallbacks
    sessions: SessionManager
    """The live streams, and in `sessions.admission` who may start one."""
    readiness: Callable[[], Awaitable[Mapping[str, str]]]
    metrics: Metrics
    degradations: Callable[[], Awaitable[Mapping[str, str]]] = _nothing
    model: Callable[[], Mapping[str, Any]] = dict
    """The default model: its name, language, and whether it is the demo."""
    client_limits: ClientLimits = field(default_factory=ClientLimits)
    read_limits: ReadLimits = field(default_factory=ReadLimits)
    heartbeat_s: float = 15.0
    """Seconds between two comments to a reader of Server-Sent Events for whom there is nothing."""
    sse_retry_s: float = 1.0
    """After so many seconds a reader who lost the connection, and a server that lost the feed, try again."""
    log_limiter: LogRateLimiter = field(default_factory=LogRateLimiter)
    """Of lines that strangers can cause."""


SERVICES = web.AppKey("services", Services)
