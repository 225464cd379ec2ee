"""Liveness, readiness and metrics, for load balancers, orchestrators and Prometheus; no key needed."""

import logging
import re
from collections.abc import Mapping, Set

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from transcriber.errors import BadRequest
from transcriber.store.secondary_write_health import PARTS
from transcriber.web.access.ticket_issuer import TICKET_ISSUER
from transcriber.web.services import SERVICES, Services

ROOM = "room"
"""The check whose problem is `full`; it goes by either name."""
CHECKS = frozenset({"redis", "outbox", "tickets", "draining", "full", ROOM, *PARTS})
"""What `/readyz` looks at, by the names of the problems."""

log = logging.getLogger(__name__)


async def alive(_request: web.Request) -> web.Response:
    """GET /healthz: the process answers."""
    return web.json_response({"status": "alive"})


async def ready(request: web.Request) -> web.Response:
    """GET /readyz: whether a new call would be transcribed; 503 names what is wrong.

    Anybody may ask, so of what is wrong one word is said (`redis: away`).
    200 with status `degraded`: it would, though something is wrong. A load balancer shall not drop the only server.
    `?exclude=room,draining` leaves out what the asker does not care for.
    """
    services, excluded = request.app[SERVICES], _excluded(request)
    tracks = services.sessions.admission.live_tracks
    if problems := _without(await _problems(request), excluded):
        error = {"code": "not_ready", "message": "; ".join(f"{part}: {what}" for part, what in problems.items())}
        body = {"status": "not_ready", "problems": problems, "live_tracks": tracks, "error": error}
        return web.json_response(body, status=503)
    if degraded := _without(_words(services, await services.degradations()), excluded):
        return web.json_response({"status": "degraded", "problems": degraded, "live_tracks": tracks})
    return web.json_response({"status": "ready", "live_tracks": tracks})


async def _problems(request: web.Request) -> Mapping[str, str]:
    """What keeps new calls out."""
    services = request.app[SERVICES]
    problems = _words(services, await services.readiness())
    # Redis may take what `readiness` tries and refuse tickets: its rights are by key.
    if services.settings.require_ticket:
        issuer = request.app[TICKET_ISSUER]
        if await issuer.fails(redis_is_away="redis" in problems):
            problems["tickets"] = "away"
    admission = services.sessions.admission
    if admission.draining:
        problems["draining"] = "stopping"
    if admission.full:
        problems["full"] = "busy" if admission.takes_streams else "no_media"
    return problems


def _excluded(request: web.Request) -> Set[str]:
    """The checks to be left out: `exclude` with names between commas, or once for each, as Kubernetes has it."""
    given = ",".join(request.query.getall("exclude", ()))
    names = {name.strip() for name in given.split(",")} - {""}
    if unknown := sorted(names - CHECKS):
        raise BadRequest(f"exclude: there is no check {', '.join(unknown)}; there are {', '.join(sorted(CHECKS))}")
    return {"full" if name == ROOM else name for name in names}


def _without(problems: Mapping[str, str], excluded: Set[str]) -> Mapping[str, str]:
    return {part: word for part, word in problems.items() if part not in excluded}


def _words(services: Services, problems: Mapping[str, str]) -> dict[str, str]:
    """One word for each part, which everybody may read; more is in the log."""
    found = {}
    for part, problem in problems.items():
        word, _, detail = problem.partition(":")
        known = re.fullmatch(r"[a-z_]{1,30}", word)
        found[part] = word if known else "failing"
        if detail or not known:
            text = "%s: %s"
            services.log_limiter.log(log, logging.WARNING, f"trouble: {part}", text, part, problem)
    return found


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics: Prometheus text."""
    body = generate_latest(request.app[SERVICES].metrics.registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
