"""The web application: its routes, and what stands around them."""

import asyncio

from aiohttp import web

from transcriber.web import health, history, live, media, voice
from transcriber.web.access import api_access
from transcriber.web.middleware import dress, errors, observed
from transcriber.web.services import SERVICES, Services

# Far above any form of Twilio's; the API takes no bodies at all.
MAX_BODY = 64 * 1024


def create_app(services: Services) -> web.Application:
    """The application over these services; it opens and closes none of them."""
    app = web.Application(middlewares=[observed, errors, api_access], client_max_size=MAX_BODY)
    app[SERVICES] = services
    app[live.CLOSING] = asyncio.Event()
    app.on_response_prepare.append(dress)
    app.on_shutdown.append(_let_readers_go)
    add = app.router.add_route
    add("GET", "/healthz", health.alive)
    add("GET", "/readyz", health.ready)
    add("GET", "/metrics", health.metrics)
    add("GET", "/v1/media", media.media)
    add("POST", "/v1/twiml", voice.twiml)
    add("POST", "/v1/stream-status", voice.stream_status)
    add("GET", "/v1/calls", history.calls)
    add("GET", "/v1/calls/{call_sid}", history.call)
    add("DELETE", "/v1/calls/{call_sid}", history.delete)
    add("GET", "/v1/calls/{call_sid}/transcript", history.transcript)
    add("GET", "/v1/calls/{call_sid}/events", live.call_events)
    add("GET", "/v1/events", live.all_events)
    return app


async def _let_readers_go(app: web.Application) -> None:
    app[live.CLOSING].set()
