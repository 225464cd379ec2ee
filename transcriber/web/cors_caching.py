"""What browsers of other origins and caches may do with an answer: CORS, compression, ETags."""

from hashlib import sha256

from aiohttp import web
from aiohttp.typedefs import Handler

from transcriber.web.services import SERVICES

WORTH_COMPRESSING = 1024
COMPRESSIBLE = ("text/", "application/json", "application/javascript", "image/svg+xml", "application/x-subrip")
ALLOWED = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE",
    "Access-Control-Allow-Headers": (
        "Authorization, X-API-Key, Last-Event-ID, If-None-Match, Content-Type, Cache-Control"
    ),
    "Access-Control-Max-Age": "600",
}


@web.middleware
async def shared(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers what a browser asks before a request of another origin (keys come with the request itself); gzip."""
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers and _granted(request):
        return web.Response(status=204, headers=ALLOWED)
    response = await handler(request)
    if isinstance(response, web.Response) and not response.prepared and _worth_compressing(response):
        response.headers.add("Vary", "Accept-Encoding")
        response.enable_compression()
    return response


async def share(request: web.Request, response: web.StreamResponse) -> None:
    """On the way out: who may read it."""
    if isinstance(response, web.WebSocketResponse):
        return
    if request.app[SERVICES].settings.cors_origins:
        response.headers.add("Vary", "Origin")
    if origin := _granted(request):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "ETag, Retry-After, X-Request-ID"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"


def etag(*facts: object) -> str:
    """A weak validator (the encoding does not count) of what an answer is made from."""
    return f'W/"{sha256(repr(facts).encode()).hexdigest()[:24]}"'


def is_known(request: web.Request, tag: str) -> bool:
    """Whether the client has this version."""
    given = request.headers.get("If-None-Match", "")
    return given.strip() == "*" or tag.removeprefix("W/") in (
        part.strip().removeprefix("W/") for part in given.split(",")
    )


def _granted(request: web.Request) -> str:
    """The origin that may read the answer; empty: none was named, or not this one."""
    origins = request.app[SERVICES].settings.cors_origins
    origin = request.headers.get("Origin", "")
    if "*" in origins:
        return "*" if origin else ""
    return origin if origin in origins else ""


def _worth_compressing(response: web.Response) -> bool:
    body = response.body
    return (
        response.status == 200
        and isinstance(body, bytes)
        and len(body) >= WORTH_COMPRESSING
        and response.content_type.startswith(COMPRESSIBLE)
    )
