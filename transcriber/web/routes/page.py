"""The page at `/`: its files, the content security policy they run under, and what it must know about the server.

Everything a call brings is text to it; nothing is loaded from elsewhere.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import resources

from aiohttp import web

from transcriber import __version__
from transcriber.audio import sample_calls
from transcriber.web.access import authorization
from transcriber.web.caching import matches_client_etag
from transcriber.web.services import SERVICES

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    # No script of ours may turn a text into HTML either.
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file of the page in memory."""

    body: bytes
    kind: str
    tag: str


async def index(request: web.Request) -> web.Response:
    """GET /: the page."""
    return _answer(request, "index.html")


async def static(request: web.Request) -> web.Response:
    """GET /static/{name}: its scripts, style and icon."""
    return _answer(request, request.match_info["name"])


async def server(request: web.Request) -> web.Response:
    """GET /v1/server: what the page, or any client, should know about this server."""
    services = request.app[SERVICES]
    return web.json_response(
        {
            "version": __version__,
            "public_url": services.settings.public_url,
            **services.model(),
            "sample_calls": sample_calls.names(),
            "roles": authorization.roles_of(request),
        }
    )


def _answer(request: web.Request, name: str) -> web.Response:
    file = _files().get(name)
    if file is None:
        raise web.HTTPNotFound
    headers = {"Content-Security-Policy": POLICY, "ETag": file.tag, "Cache-Control": "no-cache"}
    if matches_client_etag(request, file.tag):
        return web.Response(status=304, headers=headers)
    return web.Response(body=file.body, headers=headers | {"Content-Type": file.kind})


@cache
def _files() -> dict[str, File]:
    """Read once: some tens of KB."""
    found = {}
    for item in (resources.files("transcriber") / "web" / "static").iterdir():
        body = item.read_bytes()
        kind = KINDS["." + item.name.rpartition(".")[2]]
        found[item.name] = File(body, kind, f'W/"{sha256(body).hexdigest()[:24]}"')
    return found
