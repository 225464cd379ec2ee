"""Around every request: its id, its count, the headers of every answer, and errors in one shape."""

import asyncio
import logging
import re
from uuid import uuid4

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict

from transcriber.errors import BadRequest, Busy, CallIsLive, CallNotFound, StoreError, TelephonyError, TranscriberError
from transcriber.web.access import authorization
from transcriber.web.api.errors import error_response
from transcriber.web.services import SERVICES

REQUEST_ID = web.RequestKey("request_id", str)
RETRY_AFTER_S = 5
CLIENT_LEFT = 499
"""The client left before there was an answer."""
HSTS_ONE_YEAR = "max-age=31536000"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "transcriber",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = logging.getLogger(__name__)


@web.middleware
async def identified_and_counted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Names the request and counts its answer by route template."""
    given = request.headers.get("X-Request-ID", "")
    request[REQUEST_ID] = given if _ID.fullmatch(given) else uuid4().hex
    status = CLIENT_LEFT
    try:
        response = await handler(request)
        status = response.status
        if status >= 400 and not response.prepared and authorization.is_stranger(request):
            response.force_close()  # a refused client shall not hold a connection
        return response
    finally:
        resource = request.match_info.route.resource
        request.app[SERVICES].metrics.http_requests.labels(
            route="unmatched" if resource is None else resource.canonical,
            method=request.method if request.method in METHODS else "other",
            status=str(status),
        ).inc()


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put the headers on that every answer has; what a handler has set stays. A WebSocket is left alone."""
    if isinstance(response, web.WebSocketResponse):
        return
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = HEADERS["Server"]  # aiohttp has put in its own
    if request.secure:
        response.headers["Strict-Transport-Security"] = HSTS_ONE_YEAR
    if REQUEST_ID in request:
        response.headers["X-Request-ID"] = request[REQUEST_ID]


@web.middleware
async def json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns every refusal and error into the one JSON shape, unless an answer has already begun."""
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        if refusal.status < 400:
            raise
        return _http_error_response(request, refusal)
    except TranscriberError as error:
        if _response_begun(request):
            raise
        return _error_response(request, error)
    except Exception as error:
        if isinstance(error, ConnectionError) and (request.transport is None or request.transport.is_closing()):
            return web.Response(status=CLIENT_LEFT)  # which nobody gets: the client broke off
        if _response_begun(request):
            raise
        _log_unexpected(request, error)
        return error_response(500, f"something went wrong here; the server's log has it under {request[REQUEST_ID]}")


@web.middleware
async def body_read(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Reads the body, which is small wherever there is one, before the handler: whoever drips it in is let go."""
    if request.can_read_body:
        body_s = request.app[SERVICES].client_limits.body_s
        try:
            async with asyncio.timeout(body_s):
                await request.read()
        except TimeoutError:
            response = error_response(408, f"the body did not arrive within {body_s:g} s", code="too_slow")
            response.force_close()
            return response
    return await handler(request)


def _log_unexpected(request: web.Request, error: Exception) -> None:
    resource = request.match_info.route.resource
    request.app[SERVICES].log_limiter.log(
        log,
        logging.ERROR,
        f"unexpected error: {type(error).__name__} at {'no route' if resource is None else resource.canonical}",
        "unexpected error in %s %r, request %s",
        request.method,
        resource.canonical if resource is not None and "ticket" in request.match_info else request.path,
        request[REQUEST_ID],
        exc_info=error,
    )


def _response_begun(request: web.Request) -> bool:
    """Whether bytes of an answer are out: then the connection can only be closed, which aiohttp does, and logs."""
    writer = request.writer
    return getattr(writer, "output_size", 0) > 0


def _error_response(request: web.Request, error: TranscriberError) -> web.Response:
    match error:
        case BadRequest():
            return error_response(400, str(error))
        case CallNotFound():
            return error_response(404, str(error) or "no such call in the history")
        case Busy():
            return error_response(503, str(error), code="busy", headers={"Retry-After": str(RETRY_AFTER_S)})
        case CallIsLive():
            return error_response(409, str(error) or "the call is still live", code="call_is_live")
        case TelephonyError(status=status, code=code):
            again = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {}
            return error_response(status, str(error), code=code, headers=again)
        case StoreError():
            text = "request %s: the store failed: %s"
            limiter = request.app[SERVICES].log_limiter
            limiter.log(log, logging.WARNING, "store failed", text, request[REQUEST_ID], error)
            message = "the history store does not answer; try again in some seconds"
            return error_response(503, message, code="store_unavailable", headers={"Retry-After": str(RETRY_AFTER_S)})
    log.error("request %s: %s: %s", request[REQUEST_ID], type(error).__name__, error)
    return error_response(500, f"something went wrong here; the server's log has it under {request[REQUEST_ID]}")


def _http_error_response(request: web.Request, refusal: web.HTTPException) -> web.Response:
    headers = CIMultiDict(refusal.headers)
    for name in ("Content-Type", "Content-Length"):
        headers.popall(name, None)
    match refusal:
        case web.HTTPMethodNotAllowed():
            message = f"{refusal.method} is not possible here; possible: {', '.join(sorted(refusal.allowed_methods))}"
        case web.HTTPNotFound():
            message = f"nothing is served at {request.path}"
        case _:
            message = refusal.reason
    return error_response(refusal.status, message, headers=headers)
