"""Cross-origin resource sharing: which pages of other origins may read answers (TRANSCRIBER_CORS_ORIGINS)."""

from aiohttp import web
from aiohttp.typedefs import Handler

from transcriber.web.services import SERVICES

PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE",
    "Access-Control-Allow-Headers": (
        "Authorization, X-API-Key, Last-Event-ID, If-None-Match, Content-Type, Cache-Control"
    ),
    "Access-Control-Max-Age": "600",
}


@web.middleware
async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers what a browser asks before a request of another origin; keys come with the request itself."""
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers and _allowed_origin(request):
        return web.Response(status=204, headers=PREFLIGHT_HEADERS)
    return await handler(request)


async def add_cors_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Say who may read the answer. A WebSocket is left alone."""
    if isinstance(response, web.WebSocketResponse):
        return
    if request.app[SERVICES].settings.cors_origins:
        response.headers.add("Vary", "Origin")
    if origin := _allowed_origin(request):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "ETag, Retry-After, X-Request-ID"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"


def _allowed_origin(request: web.Request) -> str:
    """The origin that may read the answer; empty: none was named, or not this one."""
    origins = request.app[SERVICES].settings.cors_origins
    origin = request.headers.get("Origin", "")
    if "*" in origins:
        return "*" if origin else ""
    return origin if origin in origins else ""
