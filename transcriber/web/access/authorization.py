"""Who may do what: keys for the API, Twilio's signature for streams and webhooks, on a desk this machine only."""

import logging
from collections.abc import Mapping, Sequence

from aiohttp import web
from aiohttp.typedefs import Handler

from transcriber.settings import api_keys
from transcriber.settings.api_keys import ApiKey, Role
from transcriber.settings.definition import Settings
from transcriber.telephony.twilio import signature
from transcriber.web.access.local_client import is_local
from transcriber.web.access.signed_form import Fields, TooManyFields, readings
from transcriber.web.api.errors import Refusal
from transcriber.web.services import SERVICES

# Everything else needs an API key: a route that was forgotten here is closed, not open.
MEDIA_ROUTE = "/v1/media"
TICKET_ROUTE = "/v1/media/ticket/{ticket}"
MEDIA_ROUTES = frozenset({MEDIA_ROUTE, TICKET_ROUTE})
SIGNED_ROUTES = MEDIA_ROUTES | {"/v1/twiml", "/v1/stream-status"}
OPEN_ROUTES = SIGNED_ROUTES | {"/", "/static/{name}", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"}
# What a method wants of a key; one that is not here is not for readers.
ROLES: Mapping[str, Role] = {"GET": Role.READ, "HEAD": Role.READ, "DELETE": Role.DELETE}
ROLE_NAMES = {Role.READ: "read", Role.DELETE: "delete", Role.CONTROL: "admin"}
KEYRING: web.AppKey[tuple[ApiKey, ...]] = web.AppKey("keyring", tuple)
OVERDRAWN = web.RequestKey("overdrawn", bool)
"""Whether the request's address has been refused so often that it is not worth another line in the log."""
SIGNATURE = "X-Twilio-Signature"
LET_TWILIO_IN = "set it together with TRANSCRIBER_PUBLIC_URL to let Twilio in"

log = logging.getLogger(__name__)


@web.middleware
async def api_access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Lets a request through to every route outside OPEN_ROUTES only with a key or from this machine."""
    resource = request.match_info.route.resource
    if resource is not None and resource.canonical not in OPEN_ROUTES:
        refusal = may_call(request)
        if refusal is not None:
            return counted(request, refusal).response()
    return await handler(request)


def may_call(request: web.Request) -> Refusal | None:
    """Whether the request may use the HTTP API."""
    settings = request.app[SERVICES].settings
    if settings.requires_api_key:
        key, role = key_of(request), ROLES.get(request.method, Role.CONTROL)
        if key is not None:
            return None if role in key.roles else _lacking(role)
        which = "one of TRANSCRIBER_API_KEYS" if settings.api_keys else "the server's key (`transcriber key --local`)"
        message = f"send {which} as `Authorization: Bearer KEY` or `X-API-Key: KEY`"
        if not settings.api_keys:
            message += ", or set TRANSCRIBER_API_KEYS"
        return Refusal(401, message, {"WWW-Authenticate": 'Bearer realm="transcriber"'})
    if settings.insecure or is_local(request):
        return None
    return Refusal(
        403,
        "without TRANSCRIBER_API_KEYS the API answers only to this machine, directly and by its loopback name; set "
        "TRANSCRIBER_API_KEYS (and TRANSCRIBER_PUBLIC_URL) to reach it from elsewhere or through a proxy or tunnel",
    )


def roles_of(request: web.Request) -> list[str]:
    """What the request's client may do with the HTTP API, which it may use: names of roles, `admin` last."""
    key = key_of(request)
    roles = Role.ADMIN if key is None else key.roles
    return [name for role, name in ROLE_NAMES.items() if role in roles]


def may_stream(request: web.Request) -> Refusal | None:
    """Whether the request may open a media stream; the caller counts the refusal."""
    settings = request.app[SERVICES].settings
    key = key_of(request)
    if key is not None and Role.CONTROL in key.roles:
        return None
    if settings.twilio_auth_token and (key is None or SIGNATURE in request.headers):
        return _signed(request, settings, scheme="wss")
    if not settings.twilio_auth_token and (settings.require_ticket or _open_to(request)):
        return None
    return _lacking(Role.CONTROL) if key is not None else _without_token(settings, "streams")


def is_proved(request: web.Request) -> bool:
    """Whether a request that may stream showed a signature or a key for it."""
    key = key_of(request)
    return bool(request.app[SERVICES].settings.twilio_auth_token) or (key is not None and Role.CONTROL in key.roles)


def ticket_of(request: web.Request) -> str:
    """The ticket in the address of a media socket; empty without one."""
    return request.match_info.get("ticket") or request.query.get("ticket", "")


async def webhook_form(request: web.Request) -> Mapping[str, str] | Refusal:
    """The form of a webhook that Twilio signed (without an auth token: with a key, or from this machine)."""
    settings = request.app[SERVICES].settings
    body = await request.read()
    forms: list[Fields] = [[]]
    if request.content_type == "application/x-www-form-urlencoded":
        try:
            forms = readings(body)
        except TooManyFields as error:
            return counted(request, Refusal(413, str(error)))
    refusal: Refusal | None = None
    if settings.twilio_auth_token:
        no_form = body if body and not forms[0] else None
        refusal = _signed(request, settings, scheme="https", forms=forms, body=no_form)
    elif not _open_to(request):
        key = key_of(request)
        if key is None:
            refusal = _without_token(settings, "webhooks")
        elif Role.CONTROL not in key.roles:
            refusal = _lacking(Role.CONTROL)
    form = dict(forms[0])
    accounts = settings.twilio_account_sid
    if refusal is None and accounts and form.get("AccountSid") not in accounts:
        refusal = Refusal(403, "AccountSid is not of TRANSCRIBER_TWILIO_ACCOUNT_SID")
    return form if refusal is None else counted(request, refusal)


def keyring(settings: Settings, *ours: str) -> tuple[ApiKey, ...]:
    """The keys of the settings, and our own, which may do everything."""
    return (*map(api_keys.parse, settings.api_keys), *(ApiKey.from_text(key) for key in ours if key))


def key_of(request: web.Request) -> ApiKey | None:
    """The valid API key that the request shows."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else request.headers.get("X-API-Key", "")
    ring = request.app[KEYRING]
    return api_keys.find_key(given, ring) if given else None


def trusts_this_machine(request: web.Request) -> bool:
    """Whether the request needs neither key nor signature where it goes, because it comes from this machine."""
    return not request.app[SERVICES].settings.exposed and is_local(request)


def is_stranger(request: web.Request) -> bool:
    """Whether the request shows no key and does not come from this machine where that is enough."""
    return key_of(request) is None and not trusts_this_machine(request)


def _open_to(request: web.Request) -> bool:
    """Whether streams and webhooks need no proof of this client, as long as there is no auth token to prove with."""
    return request.app[SERVICES].settings.insecure or trusts_this_machine(request)


def _without_token(settings: Settings, what: str) -> Refusal:
    who = "want an API key" if settings.exposed else "are accepted only from this machine, directly"
    return Refusal(403, f"without TRANSCRIBER_TWILIO_AUTH_TOKEN {what} {who}; {LET_TWILIO_IN}")


def _signed(
    request: web.Request,
    settings: Settings,
    *,
    scheme: signature.Scheme,
    forms: Sequence[Fields] = ((),),
    body: bytes | None = None,
) -> Refusal | None:
    given = request.headers.get(SIGNATURE, "")
    address = signature.PublicAddress.parse(settings.public_url)
    urls = signature.candidates(address, request.raw_path, scheme=scheme)
    tokens = settings.twilio_auth_token
    if given and any(signature.verify(given, tokens=tokens, urls=urls, params=form, body=body) for form in forms):
        return None
    level = logging.DEBUG if request.get(OVERDRAWN, False) else logging.WARNING
    # %r: the path is the client's.
    said, kind = ("does not match", "wrong signature") if given else ("is missing", "no signature")
    if ticket_of(request):  # it may still be good
        target = TICKET_ROUTE if "ticket" in request.match_info else f"{request.path}?ticket=…"
        urls = signature.candidates(address, target, scheme=scheme)
    request.app[SERVICES].log_budget.log(log, level, kind, "%s %s; URLs tried: %r", SIGNATURE, said, urls)
    if not given:
        return Refusal(403, f"{SIGNATURE} is missing; only Twilio may call this address, or a client with an API key")
    return Refusal(
        403,
        f"{SIGNATURE} does not match; compare TRANSCRIBER_PUBLIC_URL with the address Twilio dials "
        "(the server's log lists the URLs tried) and TRANSCRIBER_TWILIO_AUTH_TOKEN with the account's",
    )


def _lacking(role: Role) -> Refusal:
    return Refusal(403, f"this key may not do that: it lacks the role {ROLE_NAMES[role]} (see TRANSCRIBER_API_KEYS)")


def counted(request: web.Request, refusal: Refusal) -> Refusal:
    """The refusal, noted in the metrics."""
    request.app[SERVICES].metrics.refusals.labels(status=str(refusal.status)).inc()
    return refusal
