"""What the web handlers work with, given to them by whoever starts the server."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from transcriber.config import Settings
from transcriber.metrics import Metrics
from transcriber.ports import Archive, Feed, Tickets
from transcriber.sessions import Sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts behind the routes. `readiness` says what is wrong by part (`{"redis": "away"}`), or nothing."""

    settings: Settings
    archive: Archive
    feed: Feed
    tickets: Tickets
    sessions: Sessions
    readiness: Callable[[], Awaitable[Mapping[str, str]]]
    metrics: Metrics
    model: Callable[[], Mapping[str, Any]] = dict
    """The default model: its name, language, and whether it is the demo."""
    heartbeat_s: float = 15.0


SERVICES = web.AppKey("services", Services)
