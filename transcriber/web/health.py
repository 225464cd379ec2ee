"""Alive, ready, and the numbers: for load balancers, orchestrators and Prometheus; no key needed."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from transcriber.web.issuing import ISSUING
from transcriber.web.services import SERVICES


async def alive(_request: web.Request) -> web.Response:
    """GET /healthz: the process answers."""
    return web.json_response({"status": "alive"})


async def ready(request: web.Request) -> web.Response:
    """GET /readyz: whether a new call would be transcribed; 503 names what is wrong.

    200 with status `degraded`: it would, though something is wrong. A load balancer shall not drop the only server.
    """
    services = request.app[SERVICES]
    problems = dict(await services.readiness())
    if services.settings.require_ticket and await request.app[ISSUING].fails():
        problems["tickets"] = "away"
    if services.sessions.draining:
        problems["draining"] = "the server is shutting down"
    if services.sessions.full:
        problems["full"] = "no room for another call"
    tracks = services.sessions.live_tracks
    if problems:
        error = {"code": "not_ready", "message": "; ".join(f"{part}: {what}" for part, what in problems.items())}
        body = {"status": "not_ready", "problems": problems, "live_tracks": tracks, "error": error}
        return web.json_response(body, status=503)
    if limping := dict(await services.limping()):
        return web.json_response({"status": "degraded", "problems": limping, "live_tracks": tracks})
    return web.json_response({"status": "ready", "live_tracks": tracks})


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics: Prometheus text."""
    body = generate_latest(request.app[SERVICES].metrics.registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
