"""The web application: which handler answers which path, behind which middlewares."""

import asyncio

from aiohttp import web

from transcriber.web.access.authorization import ACCEPTED_KEYS, accepted_keys, require_access
from transcriber.web.access.ticket_issuer import TICKET_ISSUER, TicketIssuer
from transcriber.web.api import asyncapi, openapi
from transcriber.web.caching import compressed
from transcriber.web.cors import add_cors_headers, preflight
from transcriber.web.limits.event_streams import EVENT_STREAMS, EventStreamLimits
from transcriber.web.limits.request_rate import RATE_LIMITS, RateLimits, rate_limited
from transcriber.web.middleware import add_security_headers, body_read, identified_and_counted, json_errors
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
from transcriber.web.sse.heartbeats import CLOSING

# Far above any form of Twilio's; the API takes no bodies at all.
MAX_BODY_BYTES = 64 * 1024
# From the outside in.
MIDDLEWARES = (identified_and_counted, preflight, compressed, json_errors, rate_limited, require_access, body_read)


def create_app(services: Services) -> web.Application:
    """The application over these services; it opens and closes none of them."""
    app = web.Application(middlewares=MIDDLEWARES, client_max_size=MAX_BODY_BYTES)
    app[SERVICES] = services
    app[ACCEPTED_KEYS] = accepted_keys(services.settings, services.local_key)
    app[RATE_LIMITS] = RateLimits.of(services.settings)
    app[CLOSING] = asyncio.Event()
    app[EVENT_STREAMS] = EventStreamLimits()
    app[TICKET_ISSUER] = TicketIssuer(services.tickets)
    app.on_response_prepare.append(add_security_headers)
    app.on_response_prepare.append(add_cors_headers)
    app.on_shutdown.append(_let_readers_go)
    get, post, delete = app.router.add_get, app.router.add_post, app.router.add_delete
    app[sample_calls.PLAYING_CALLS] = sample_calls.PlayingCalls()
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
    get("/asyncapi.json", asyncapi.description)
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
    app = web.Application(middlewares=[identified_and_counted, json_errors])
    app[SERVICES] = services
    app[ACCEPTED_KEYS] = accepted_keys(services.settings)
    app.on_response_prepare.append(add_security_headers)
    app.router.add_get("/metrics", health.metrics)
    return app


async def _let_readers_go(app: web.Application) -> None:
    app[CLOSING].set()
