"""The web application: its routes, and what stands around them."""

import asyncio

from aiohttp import web

from transcriber.settings import api_keys
from transcriber.web.access.authorization import KEYRING, api_access, keyring
from transcriber.web.access.ticket_issuer import ISSUING, TicketIssuer
from transcriber.web.api import openapi
from transcriber.web.cors_caching import share, shared
from transcriber.web.limits.event_streams import FOLLOWERS, EventStreamLimits
from transcriber.web.limits.history_reads import READING, ReadLimits
from transcriber.web.limits.request_rate import BUDGETS, RateLimits, rate_limited
from transcriber.web.middleware import add_security_headers, bodies, errors, observed
from transcriber.web.routes import (
    api_docs,
    attach,
    call_events,
    calls,
    health,
    media,
    page,
    sample_calls,
    twilio_webhooks,
)
from transcriber.web.services import SERVICES, Services

# Far above any form of Twilio's; the API takes no bodies at all.
MAX_BODY = 64 * 1024


def create_app(services: Services) -> web.Application:
    """The application over these services; it opens and closes none of them."""
    app = web.Application(
        middlewares=[observed, shared, errors, rate_limited, api_access, bodies], client_max_size=MAX_BODY
    )
    app[SERVICES] = services
    app[sample_calls.PASS] = api_keys.generate()
    app[KEYRING] = keyring(services.settings, services.local_key, app[sample_calls.PASS])
    app[BUDGETS] = RateLimits.of(services.settings)
    app[READING] = ReadLimits()
    app[call_events.CLOSING] = asyncio.Event()
    app[FOLLOWERS] = EventStreamLimits()
    app[ISSUING] = TicketIssuer(services.tickets)
    app.on_response_prepare.append(add_security_headers)
    app.on_response_prepare.append(share)
    app.on_shutdown.append(_let_readers_go)
    get, post, delete = app.router.add_get, app.router.add_post, app.router.add_delete
    app[sample_calls.PLAYING] = sample_calls.Playing()
    app.on_shutdown.append(sample_calls.stop_all)
    get("/", page.index)
    get("/static/{name}", page.static)
    get("/v1/server", page.server)
    post("/v1/sample-calls", sample_calls.play)
    get("/healthz", health.alive)
    get("/readyz", health.ready)
    if not services.settings.metrics_address:
        get("/metrics", health.metrics)
    get("/openapi.json", openapi.description)
    get("/docs", api_docs.page)
    get("/v1/media", media.media, allow_head=False)
    get("/v1/media/ticket/{ticket}", media.media, allow_head=False)
    post("/v1/twiml", twilio_webhooks.twiml)
    post("/v1/stream-status", twilio_webhooks.stream_status)
    get("/v1/calls", calls.calls)
    get("/v1/calls/{call_sid}", calls.call)
    delete("/v1/calls/{call_sid}", calls.delete)
    get("/v1/calls/{call_sid}/transcript", calls.transcript)
    get("/v1/calls/{call_sid}/events", call_events.call_events, allow_head=False)
    post("/v1/calls/{call_sid}/attach", attach.attach)
    post("/v1/calls/{call_sid}/detach", attach.detach)
    get("/v1/events", call_events.all_events, allow_head=False)
    return app


def create_metrics_app(services: Services) -> web.Application:
    """What METRICS_ADDRESS serves, and nothing else."""
    app = web.Application(middlewares=[observed, errors])
    app[SERVICES] = services
    app[KEYRING] = keyring(services.settings)
    app.on_response_prepare.append(add_security_headers)
    app.router.add_get("/metrics", health.metrics)
    return app


async def _let_readers_go(app: web.Application) -> None:
    app[call_events.CLOSING].set()
