"""What a media socket proves before the 101: a signature, an API key, or a one-time ticket in its address.

Twilio drops the query of a stream's URL; the path it keeps, and signs. So `/v1/media/ticket/{ticket}` is for Twilio,
`?ticket=` for others.
"""

import logging
import re

from aiohttp import web

from transcriber.calls.admission import AdmissionPolicy
from transcriber.calls.pending_sockets import SocketCredentials
from transcriber.errors import StoreError
from transcriber.web.access import twilio_requests
from transcriber.web.api.errors import HttpRefusal
from transcriber.web.limits.request_rate import limit_key_of
from transcriber.web.services import SERVICES

RETRY_AFTER_S = 5
TICKET = re.compile(r"[A-Za-z0-9_-]{1,128}")

log = logging.getLogger(__name__)


async def credentials_of(request: web.Request) -> SocketCredentials | HttpRefusal:
    """What the socket shows, if there is room for it. A ticket is looked at last: afterwards it is spent."""
    refusal = twilio_requests.may_stream(request)
    if refusal is not None:
        return refusal
    admission, ticket = request.app[SERVICES].sessions.admission, twilio_requests.ticket_of(request)
    credentials = SocketCredentials(
        authenticated=twilio_requests.is_authenticated(request), address=limit_key_of(request)
    )
    if not ticket:
        return _no_room(admission, credentials) or credentials
    refusal = _no_room(admission, SocketCredentials(authenticated=True))
    if refusal is not None:
        return refusal
    found = await _spend(request, ticket, credentials)
    return found if isinstance(found, HttpRefusal) else _no_room(admission, found) or found


async def _spend(request: web.Request, ticket: str, credentials: SocketCredentials) -> SocketCredentials | HttpRefusal:
    """The credentials with the ticket, which is spent now."""
    services = request.app[SERVICES]
    try:
        call_sid = await services.tickets.spend(ticket) if TICKET.fullmatch(ticket) else ""
    except StoreError as error:
        text = "a ticket could not be checked: %s"
        services.log_limiter.log(log, logging.ERROR, "ticket not checked", text, error)
        if services.settings.require_ticket:
            return _try_later(503, "the ticket could not be checked")
        return credentials  # where none is demanded, one that cannot be checked proves as much as none
    if not call_sid:
        return HttpRefusal(403, "the ticket in the address is not good: made up, too old or used already")
    return SocketCredentials(authenticated=True, ticket=ticket, call_sid=call_sid)


def _no_room(admission: AdmissionPolicy, credentials: SocketCredentials) -> HttpRefusal | None:
    if admission.draining:
        return _try_later(503, "the server is shutting down")
    if not admission.takes_streams:
        return _try_later(503, admission.why_full)
    if credentials.authenticated:
        return _try_later(503, "all tracks are in use") if admission.full else None
    match admission.full_of_unauthenticated(credentials.address):
        case "address":
            return _try_later(429, "this address has opened too many sockets without a start, key, signature or ticket")
        case "all":
            return _try_later(503, "all tracks are in use, or too many sockets have not said whose they are")
    return None


def _try_later(status: int, why: str) -> HttpRefusal:
    return HttpRefusal(status, f"{why}, try again later", {"Retry-After": str(RETRY_AFTER_S)})
