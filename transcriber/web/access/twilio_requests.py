"""What Twilio sends: whether a stream or a webhook is signed, or may come without a signature."""

import logging
from collections.abc import Mapping, Sequence

from aiohttp import web

from transcriber.settings.api_keys import Role
from transcriber.settings.definition import Settings
from transcriber.telephony.twilio import signature
from transcriber.web.access.authorization import TICKET_ROUTE, counted, key_of, lacking_role, trusts_this_machine
from transcriber.web.access.signed_form import Fields, TooManyFields, parse_form
from transcriber.web.api.errors import HttpRefusal
from transcriber.web.services import SERVICES

ADDRESS_OVERDRAWN = web.RequestKey("overdrawn", bool)
"""Whether the request's address has been refused so often that it is not worth another line in the log."""
SIGNATURE = "X-Twilio-Signature"
HOW_TO_ADMIT_TWILIO = "set it together with TRANSCRIBER_PUBLIC_URL to let Twilio in"

log = logging.getLogger(__name__)


def may_stream(request: web.Request) -> HttpRefusal | None:
    """Whether the request may open a media stream; the caller counts the refusal."""
    settings = request.app[SERVICES].settings
    key = key_of(request)
    if key is not None and Role.CONTROL in key.roles:
        return None
    if settings.twilio_auth_token and (key is None or SIGNATURE in request.headers):
        return _signed(request, settings, scheme="wss")
    if not settings.twilio_auth_token and (settings.require_ticket or _open_to(request)):
        return None
    return lacking_role(Role.CONTROL) if key is not None else _without_token(settings, "streams")


def is_authenticated(request: web.Request) -> bool:
    """Whether a request that may stream showed a signature or a key for it."""
    key = key_of(request)
    return bool(request.app[SERVICES].settings.twilio_auth_token) or (key is not None and Role.CONTROL in key.roles)


def ticket_of(request: web.Request) -> str:
    """The ticket in the address of a media socket; empty without one."""
    return request.match_info.get("ticket") or request.query.get("ticket", "")


async def webhook_form(request: web.Request) -> Mapping[str, str] | HttpRefusal:
    """The form of a webhook that Twilio signed (without an auth token: with a key, or from this machine)."""
    settings = request.app[SERVICES].settings
    body = await request.read()
    forms: list[Fields] = [[]]
    if request.content_type == "application/x-www-form-urlencoded":
        try:
            forms = parse_form(body)
        except TooManyFields as error:
            return counted(request, HttpRefusal(413, str(error)))
    refusal: HttpRefusal | None = None
    if settings.twilio_auth_token:
        no_form = body if body and not forms[0] else None
        refusal = _signed(request, settings, scheme="https", forms=forms, body=no_form)
    elif not _open_to(request):
        key = key_of(request)
        if key is None:
            refusal = _without_token(settings, "webhooks")
        elif Role.CONTROL not in key.roles:
            refusal = lacking_role(Role.CONTROL)
    form = dict(forms[0])
    accounts = settings.twilio_account_sid
    if refusal is None and accounts and form.get("AccountSid") not in accounts:
        refusal = HttpRefusal(403, "AccountSid is not of TRANSCRIBER_TWILIO_ACCOUNT_SID")
    return form if refusal is None else counted(request, refusal)


def _open_to(request: web.Request) -> bool:
    """Whether this client needs neither signature nor key for streams and webhooks, as long as no auth token is set."""
    return request.app[SERVICES].settings.insecure or trusts_this_machine(request)


def _without_token(settings: Settings, what: str) -> HttpRefusal:
    who = "want an API key" if settings.exposed else "are accepted only from this machine, directly"
    return HttpRefusal(403, f"without TRANSCRIBER_TWILIO_AUTH_TOKEN {what} {who}; {HOW_TO_ADMIT_TWILIO}")


def _signed(
    request: web.Request,
    settings: Settings,
    *,
    scheme: signature.Scheme,
    forms: Sequence[Fields] = ((),),
    body: bytes | None = None,
) -> HttpRefusal | None:
    given = request.headers.get(SIGNATURE, "")
    address = signature.PublicAddress.parse(settings.public_url)
    urls = signature.candidates(address, request.raw_path, scheme=scheme)
    tokens = settings.twilio_auth_token
    if given and any(signature.verify(given, tokens=tokens, urls=urls, params=form, body=body) for form in forms):
        return None
    level = logging.DEBUG if request.get(ADDRESS_OVERDRAWN, False) else logging.WARNING
    # %r: the path is the client's.
    problem, kind = ("does not match", "wrong signature") if given else ("is missing", "no signature")
    if ticket_of(request):  # it may still be good
        target = TICKET_ROUTE if "ticket" in request.match_info else f"{request.path}?ticket=…"
        urls = signature.candidates(address, target, scheme=scheme)
    request.app[SERVICES].log_limiter.log(log, level, kind, "%s %s; URLs tried: %r", SIGNATURE, problem, urls)
    if not given:
        return HttpRefusal(
            403, f"{SIGNATURE} is missing; only Twilio may call this address, or a client with an API key"
        )
    return HttpRefusal(
        403,
        f"{SIGNATURE} does not match; compare TRANSCRIBER_PUBLIC_URL with the address Twilio dials "
        "(the server's log lists the URLs tried) and TRANSCRIBER_TWILIO_AUTH_TOKEN with the account's",
    )
