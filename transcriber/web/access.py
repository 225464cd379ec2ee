"""Who may do what: keys for the API, Twilio's signature for streams and webhooks, otherwise this machine only."""

import hmac
import ipaddress
import logging
from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from transcriber.config import Settings, is_loopback
from transcriber.core import signature
from transcriber.errors import BadRequest
from transcriber.web.refusal import Refusal
from transcriber.web.services import SERVICES

# Everything else needs an API key: a route that was forgotten here is closed, not open.
OPEN_ROUTES = frozenset(
    {"/", "/static/{name}", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"}
    | {"/v1/media", "/v1/twiml", "/v1/stream-status"}
)
FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")
SIGNATURE = "X-Twilio-Signature"
MAX_FIELDS = 200
FROM_HERE = "accepted only from this machine; set it together with TRANSCRIBER_PUBLIC_URL to let Twilio in"

log = logging.getLogger(__name__)


@web.middleware
async def api_access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Lets a request through to every route outside OPEN_ROUTES only with a key or from this machine."""
    resource = request.match_info.route.resource
    if resource is not None and resource.canonical not in OPEN_ROUTES:
        refusal = may_call(request)
        if refusal is not None:
            return _counted(request, refusal).response()
    return await handler(request)


def may_call(request: web.Request) -> Refusal | None:
    """Whether the request may use the HTTP API."""
    settings = request.app[SERVICES].settings
    if settings.api_keys:
        if has_key(request, settings):
            return None
        message = "send one of TRANSCRIBER_API_KEYS as `Authorization: Bearer KEY` or `X-API-Key: KEY`"
        return Refusal(401, message, {"WWW-Authenticate": 'Bearer realm="transcriber"'})
    if settings.insecure or is_local(request):
        return None
    return Refusal(
        403,
        "without TRANSCRIBER_API_KEYS the API answers only to this machine, directly and by its loopback name; "
        "set TRANSCRIBER_API_KEYS to reach it from elsewhere or through a proxy",
    )


def may_stream(request: web.Request) -> Refusal | None:
    """Whether the request may open a media stream; the caller counts the refusal."""
    settings = request.app[SERVICES].settings
    if settings.api_keys and has_key(request, settings):
        return None
    if settings.twilio_auth_token:
        return _signed(request, settings, scheme="wss")
    if settings.insecure or settings.require_ticket or is_local(request):
        return None
    return Refusal(403, f"without TRANSCRIBER_TWILIO_AUTH_TOKEN streams are {FROM_HERE}")


async def webhook_form(request: web.Request) -> Mapping[str, str] | Refusal:
    """The form of a webhook that Twilio signed (without an auth token: that came from this machine)."""
    settings = request.app[SERVICES].settings
    body = await request.read()
    fields = _fields(body) if request.content_type == "application/x-www-form-urlencoded" else []
    refusal: Refusal | None = None
    if settings.twilio_auth_token:
        no_form = body if body and not fields else None
        refusal = _signed(request, settings, scheme="https", params=fields, body=no_form)
    elif not (settings.insecure or is_local(request)):
        refusal = Refusal(403, f"without TRANSCRIBER_TWILIO_AUTH_TOKEN webhooks are {FROM_HERE}")
    return dict(fields) if refusal is None else _counted(request, refusal)


def has_key(request: web.Request, settings: Settings) -> bool:
    """Whether the request presents a valid API key; takes as long whichever it is."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else request.headers.get("X-API-Key", "")
    digest = sha256(given.encode("utf-8", "replace")).digest()
    matched = False
    for key in settings.api_keys:
        matched |= hmac.compare_digest(sha256(key.encode()).digest(), digest)
    return matched


def is_local(request: web.Request) -> bool:
    """Whether a client on this machine speaks to us directly.

    A proxy on this machine has a loopback address too, so its headers give it away; the Host header stops DNS
    rebinding, and the Origin header stops foreign web pages in a browser on this machine.
    """
    origin = request.headers.get("Origin")
    return (
        _loopback_peer(request.remote or "")
        and not any(name in request.headers for name in FORWARDED)
        and _loopback_name(request.host)
        and (origin is None or _loopback_name(urlsplit(origin).netloc))
    )


def _loopback_peer(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def _loopback_name(netloc: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{netloc}").hostname or "")
    except ValueError:
        return False


def _signed(
    request: web.Request,
    settings: Settings,
    *,
    scheme: signature.Scheme,
    params: list[tuple[str, str]] | None = None,
    body: bytes | None = None,
) -> Refusal | None:
    given = request.headers.get(SIGNATURE, "")
    address = signature.PublicAddress.parse(settings.public_url)
    urls = signature.candidates(address, request.raw_path, scheme=scheme)
    tokens = settings.twilio_auth_token
    if given and signature.verify(given, tokens=tokens, urls=urls, params=params or (), body=body):
        return None
    # %r: the path is the client's.
    log.warning("%s %s; URLs tried: %r", SIGNATURE, "does not match" if given else "is missing", urls)
    if not given:
        return Refusal(403, f"{SIGNATURE} is missing; only Twilio may call this address, or a client with an API key")
    return Refusal(
        403,
        f"{SIGNATURE} does not match; compare TRANSCRIBER_PUBLIC_URL with the address Twilio dials "
        "(the server's log lists the URLs tried) and TRANSCRIBER_TWILIO_AUTH_TOKEN with the account's",
    )


def _fields(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise BadRequest("the form is not URL-encoded UTF-8, or has too many fields") from None


def _counted(request: web.Request, refusal: Refusal) -> Refusal:
    request.app[SERVICES].metrics.refusals.labels(status=str(refusal.status)).inc()
    return refusal
