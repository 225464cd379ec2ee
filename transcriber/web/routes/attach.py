"""POST /v1/calls/{call_sid}/attach and /detach: a stream on a call that is in progress, over Twilio's REST resource."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from transcriber.errors import BadRequest, TelephonyError
from transcriber.telephony.twilio.messages import SID, SID_FORM
from transcriber.telephony.twilio.rest_api import MAX_PARAMETERS, StreamRequest, Tracks, TwilioRestApi
from transcriber.telephony.twilio.signature import PublicAddress
from transcriber.web.access.ticket_issuer import TICKET_ISSUER
from transcriber.web.api.parameters import call_sid_of, json_body
from transcriber.web.routes.twilio_webhooks import STATUS, media_path, others_may_take
from transcriber.web.services import SERVICES, Services

NAME = "transcriber"
NO_OBJECT = "the body must be a JSON object, or empty"
TRACKS: Mapping[str, Tracks] = {"both": "both_tracks", "inbound": "inbound_track", "outbound": "outbound_track"}
MAX_NAME_CHARS = 128
MAX_PARAMETER_CHARS = 499
"""Name and value together: Twilio wants them under 500."""


async def attach(request: web.Request) -> web.Response:
    """Start a stream to this server (or whichever a proxy chooses), with a one-time ticket and the status callback."""
    services = request.app[SERVICES]
    call_sid = call_sid_of(request)
    body = await _body(request, "name", "track", "parameters")
    track = body.get("track", "both")
    if not isinstance(track, str) or track not in TRACKS:
        raise BadRequest(f"track must be one of {', '.join(TRACKS)}")
    parameters = _parameters(body.get("parameters", {}))
    name = _name(body)
    twilio_api = _twilio_api(services)
    admission = services.sessions.admission
    if (admission.draining or admission.full) and not others_may_take(request):
        raise TelephonyError(503, "unavailable", f"{admission.why_full}; try again later")
    # First: whatever Twilio might leave out, it is not the ticket.
    ticket = await request.app[TICKET_ISSUER].issue(call_sid)
    parameters = {"ticket": ticket} | parameters
    address = PublicAddress.parse(services.settings.public_url)
    stream = StreamRequest(
        call_sid=call_sid,
        url=address.url("wss", media_path(services.settings, ticket)),
        name=name,
        status_callback=address.url("https", "") + STATUS,
        track=TRACKS[track],
        parameters=parameters,
    )
    return web.json_response(
        {"call_sid": call_sid, "stream_sid": await twilio_api.start(stream), "name": name}, status=201
    )


async def detach(request: web.Request) -> web.Response:
    """Stop the stream of that name (or sid)."""
    call_sid = call_sid_of(request)
    name = _name(await _body(request, "name"))
    stream_sid = await _twilio_api(request.app[SERVICES]).stop(call_sid, name)
    return web.json_response({"call_sid": call_sid, "stream_sid": stream_sid, "name": name})


def _twilio_api(services: Services) -> TwilioRestApi:
    settings = services.settings
    missing = [
        f"TRANSCRIBER_{name.upper()}"
        for name in ("twilio_account_sid", "twilio_auth_token", "public_url")
        if not getattr(settings, name)
    ]
    if missing:
        raise TelephonyError(409, "not_configured", f"set {', '.join(missing)} to reach calls over Twilio's REST API")
    return TwilioRestApi(
        settings.twilio_account_sid[0], settings.twilio_auth_token[0], base_url=settings.twilio_api_url
    )


async def _body(request: web.Request, *known: str) -> Mapping[str, Any]:
    body = await json_body(request, malformed=NO_OBJECT)
    if not isinstance(body, dict):
        raise BadRequest(NO_OBJECT)
    if unknown := sorted(set(body) - set(known)):
        raise BadRequest(f"unknown field {', '.join(unknown)[:100]}; known here: {', '.join(known)}")
    return body


def _name(body: Mapping[str, Any]) -> str:
    name = body.get("name", NAME)
    if not isinstance(name, str) or not SID.fullmatch(name):
        raise BadRequest(f"name must be {SID_FORM}")
    return name


def _parameters(given: Any) -> dict[str, str]:
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise BadRequest("parameters must be an object of strings")
    if len(given) >= MAX_PARAMETERS:
        raise BadRequest(f"a stream takes {MAX_PARAMETERS - 1} parameters besides its ticket, not {len(given)}")
    if "ticket" in given:
        raise BadRequest("the parameter ticket is the server's to give")
    if any(not 0 < len(name) <= MAX_NAME_CHARS for name in given):
        raise BadRequest(f"a parameter's name must have 1 to {MAX_NAME_CHARS} characters")
    if any(len(name) + len(value) > MAX_PARAMETER_CHARS for name, value in given.items()):
        raise BadRequest(f"name and value of a parameter must not exceed {MAX_PARAMETER_CHARS} characters together")
    return dict(given)
