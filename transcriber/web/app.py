"""The web application: its routes, and what stands around them."""

import asyncio

from aiohttp import web

from transcriber.core import api_keys
from transcriber.web import attach, docs, health, history, live, media, openapi, page, samples, voice
from transcriber.web.access import KEYRING, api_access, keyring
from transcriber.web.followers import FOLLOWERS, Followers
from transcriber.web.issuing import ISSUING, Issuing
from transcriber.web.middleware import bodies, dress, errors, observed
from transcriber.web.rate import BUDGETS, Budgets, rate_limited
from transcriber.web.reading import READING, Reading
from transcriber.web.services import SERVICES, Services
from transcriber.web.sharing import share, shared

# Far above any form of Twilio's; the API takes no bodies at all.
MAX_BODY = 64 * 1024


def create_app(services: Services) -> web.Application:
    """The application over these services; it opens and closes none of them."""
    app = web.Application(
        middlewares=[observed, shared, errors, rate_limited, api_access, bodies], client_max_size=MAX_BODY
    )
    app[SERVICES] = services
    app[samples.PASS] = api_keys.fresh()
    app[KEYRING] = keyring(services.settings, services.local_key, app[samples.PASS])
    app[BUDGETS] = Budgets.of(services.settings)
    app[READING] = Reading()
    app[live.CLOSING] = asyncio.Event()
    app[FOLLOWERS] = Followers()
    app[ISSUING] = Issuing(services.tickets)
    app.on_response_prepare.append(dress)
    app.on_response_prepare.append(share)
    app.on_shutdown.append(_let_readers_go)
    get, post, delete = app.router.add_get, app.router.add_post, app.router.add_delete
    app[samples.PLAYING] = samples.Playing()
    app.on_shutdown.append(samples.stop_all)
    get("/", page.index)
    get("/static/{name}", page.static)
    get("/v1/server", page.server)
    post("/v1/sample-calls", samples.play)
    get("/healthz", health.alive)
    get("/readyz", health.ready)
    if not services.settings.metrics_address:
        get("/metrics", health.metrics)
    get("/openapi.json", openapi.description)
    get("/docs", docs.page)
    get("/v1/media", media.media, allow_head=False)
    get("/v1/media/ticket/{ticket}", media.media, allow_head=False)
    post("/v1/twiml", voice.twiml)
    post("/v1/stream-status", voice.stream_status)
    get("/v1/calls", history.calls)
    get("/v1/calls/{call_sid}", history.call)
    delete("/v1/calls/{call_sid}", history.delete)
    get("/v1/calls/{call_sid}/transcript", history.transcript)
    get("/v1/calls/{call_sid}/events", live.call_events, allow_head=False)
    post("/v1/calls/{call_sid}/attach", attach.attach)
    post("/v1/calls/{call_sid}/detach", attach.detach)
    get("/v1/events", live.all_events, allow_head=False)
    return app


def create_metrics_app(services: Services) -> web.Application:
    """What METRICS_ADDRESS serves, and nothing else."""
    app = web.Application(middlewares=[observed, errors])
    app[SERVICES] = services
    app[KEYRING] = keyring(services.settings)
    app.on_response_prepare.append(dress)
    app.router.add_get("/metrics", health.metrics)
    return app


async def _let_readers_go(app: web.Application) -> None:
    app[live.CLOSING].set()
