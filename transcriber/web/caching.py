"""What caches and slow lines want of an answer: ETags and gzip."""

from hashlib import sha256

from aiohttp import web
from aiohttp.typedefs import Handler

MIN_COMPRESSED_BYTES = 1024
COMPRESSIBLE = ("text/", "application/json", "application/javascript", "image/svg+xml", "application/x-subrip")


@web.middleware
async def compressed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Compresses answers that gain by it, for clients that take it."""
    response = await handler(request)
    if isinstance(response, web.Response) and not response.prepared and _gains_by_compression(response):
        response.headers.add("Vary", "Accept-Encoding")
        response.enable_compression()
    return response


def etag(*facts: object) -> str:
    """A weak validator (the encoding does not count) of what an answer is made from."""
    return f'W/"{sha256(repr(facts).encode()).hexdigest()[:24]}"'


def matches_client_etag(request: web.Request, tag: str) -> bool:
    """Whether the client has this version already (If-None-Match)."""
    given = request.headers.get("If-None-Match", "")
    return given.strip() == "*" or tag.removeprefix("W/") in (
        part.strip().removeprefix("W/") for part in given.split(",")
    )


def _gains_by_compression(response: web.Response) -> bool:
    body = response.body
    return (
        response.status == 200
        and isinstance(body, bytes)
        and len(body) >= MIN_COMPRESSED_BYTES
        and response.content_type.startswith(COMPRESSIBLE)
    )
