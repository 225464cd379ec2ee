"""Who may use the HTTP API: keys with their roles; without keys, programs of this machine."""

from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler

from transcriber.settings import api_keys
from transcriber.settings.api_keys import ApiKey, Role
from transcriber.settings.definition import Settings
from transcriber.web.access.local_client import is_local
from transcriber.web.api.errors import HttpRefusal
from transcriber.web.services import SERVICES

# Everything else needs an API key: a route that was forgotten here is closed, not open.
MEDIA_ROUTE = "/v1/media"
TICKET_ROUTE = "/v1/media/ticket/{ticket}"
MEDIA_ROUTES = frozenset({MEDIA_ROUTE, TICKET_ROUTE})
SIGNED_ROUTES = MEDIA_ROUTES | {"/v1/twiml", "/v1/stream-status"}
OPEN_ROUTES = SIGNED_ROUTES | {"/", "/static/{name}", "/healthz", "/readyz", "/metrics", "/docs"}
OPEN_ROUTES |= {"/openapi.json", "/asyncapi.json"}
# What a method wants of a key; one that is not here is not for readers.
ROLES: Mapping[str, Role] = {"GET": Role.READ, "HEAD": Role.READ, "DELETE": Role.DELETE}
ROLE_NAMES = {Role.READ: "read", Role.DELETE: "delete", Role.CONTROL: "admin"}
ACCEPTED_KEYS: web.AppKey[tuple[ApiKey, ...]] = web.AppKey("keyring", tuple)


@web.middleware
async def require_access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Lets a request through to every route outside OPEN_ROUTES only with a key or from this machine."""
    resource = request.match_info.route.resource
    if resource is not None and resource.canonical not in OPEN_ROUTES:
        refusal = may_call(request)
        if refusal is not None:
            return counted(request, refusal).response()
    return await handler(request)


def may_call(request: web.Request) -> HttpRefusal | None:
    """Whether the request may use the HTTP API."""
    settings = request.app[SERVICES].settings
    if settings.requires_api_key:
        key, role = key_of(request), ROLES.get(request.method, Role.CONTROL)
        if key is not None:
            return None if role in key.roles else lacking_role(role)
        which = "one of TRANSCRIBER_API_KEYS" if settings.api_keys else "the server's key (`transcriber key --local`)"
        message = f"send {which} as `Authorization: Bearer KEY` or `X-API-Key: KEY`"
        if not settings.api_keys:
            message += ", or set TRANSCRIBER_API_KEYS"
        return HttpRefusal(401, message, {"WWW-Authenticate": 'Bearer realm="transcriber"'})
    if settings.insecure or is_local(request):
        return None
    return HttpRefusal(
        403,
        "without TRANSCRIBER_API_KEYS the API answers only to this machine, directly and by its loopback name; set "
        "TRANSCRIBER_API_KEYS (and TRANSCRIBER_PUBLIC_URL) to reach it from elsewhere or through a proxy or tunnel",
    )


def roles_of(request: web.Request) -> list[str]:
    """What the request's client may do with the HTTP API, which it may use: names of roles, `admin` last."""
    key = key_of(request)
    roles = Role.ADMIN if key is None else key.roles
    return [name for role, name in ROLE_NAMES.items() if role in roles]


def accepted_keys(settings: Settings, *ours: str) -> tuple[ApiKey, ...]:
    """The keys of the settings, and our own, which may do everything."""
    return (*map(api_keys.parse, settings.api_keys), *(ApiKey.from_text(key) for key in ours if key))


def key_of(request: web.Request) -> ApiKey | None:
    """The valid API key that the request shows."""
    given, ring = given_key(request), request.app[ACCEPTED_KEYS]
    return api_keys.find_key(given, ring) if given else None


def given_key(request: web.Request) -> str:
    """The API key that the request shows, valid or not; empty without one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get("X-API-Key", "")


def trusts_this_machine(request: web.Request) -> bool:
    """Whether the request needs neither key nor signature where it goes, because it comes from this machine."""
    return not request.app[SERVICES].settings.exposed and is_local(request)


def is_stranger(request: web.Request) -> bool:
    """Whether the request shows no key and does not come from this machine where that is enough."""
    return key_of(request) is None and not trusts_this_machine(request)


def lacking_role(role: Role) -> HttpRefusal:
    """The refusal of a key that may do less."""
    return HttpRefusal(
        403, f"this key may not do that: it lacks the role {ROLE_NAMES[role]} (see TRANSCRIBER_API_KEYS)"
    )


def counted(request: web.Request, refusal: HttpRefusal) -> HttpRefusal:
    """The refusal, noted in the metrics."""
    request.app[SERVICES].metrics.refusals.labels(status=str(refusal.status)).inc()
    return refusal
