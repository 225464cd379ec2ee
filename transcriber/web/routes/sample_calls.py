"""POST /v1/sample-calls: a bundled call, dialled to this very server as Twilio does, in real time."""

import asyncio
import logging
from typing import Any

from aiohttp import web

from transcriber.audio import sample_calls
from transcriber.audio.wav import read_recording
from transcriber.errors import BadRequest, TranscriberError
from transcriber.runtime.cancellation import cancel
from transcriber.settings.host_address import url_of
from transcriber.telephony.simulator import CallIds, Target, dial
from transcriber.telephony.simulator.certificate_pinning import fingerprint_of
from transcriber.web.access.authorization import given_key
from transcriber.web.access.ticket_issuer import TICKET_ISSUER
from transcriber.web.api.errors import error_response
from transcriber.web.api.parameters import json_body
from transcriber.web.routes.twilio_webhooks import media_path
from transcriber.web.services import SERVICES

NO_JSON = 'the body must be JSON such as {"name":"02_dental_appointment"}, or empty'
MAX_CONCURRENT = 4
"""More are refused with 429: the samples are for looking, not for load."""
TAKEN_MS = 200
"""When so much of a call was taken, it was not refused."""


class PlayingCalls(set[asyncio.Task[None]]):
    """The calls that are being played."""


PLAYING_CALLS = web.AppKey("playing", PlayingCalls)

log = logging.getLogger(__name__)


async def play(request: web.Request) -> web.Response:
    """Begin a call; its CallSid is answered once it is not refused. The body names a bundled call, or is empty."""
    services, playing = request.app[SERVICES], request.app[PLAYING_CALLS]
    name = _name(await json_body(request, malformed=NO_JSON))
    admission = services.sessions.admission
    if admission.draining or admission.full:
        return error_response(503, admission.why_full, headers={"Retry-After": "10"})
    if len(playing) >= MAX_CONCURRENT:
        message = f"{MAX_CONCURRENT} sample calls are being played already"
        return error_response(429, message, code="too_many", headers={"Retry-After": "10"})
    settings = services.settings
    ids = CallIds(account=settings.twilio_account_sid[0]) if settings.twilio_account_sid else CallIds()
    parameters = {"sample": name}
    if settings.require_ticket:
        parameters["ticket"] = await request.app[TICKET_ISSUER].issue(ids.call)
    path = media_path(settings, parameters.get("ticket", ""))
    target = Target(
        url=_here(request) + path,
        fingerprint=fingerprint_of(settings.tls_cert) if settings.tls_cert else None,
        auth_token=settings.twilio_auth_token[0] if settings.twilio_auth_token else None,
        public_url=settings.public_url + path if settings.public_url else None,
        # Of several servers on one port another one may answer: it knows what this request has shown.
        api_key=None if settings.twilio_auth_token else given_key(request) or None,
    )
    refusal: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(_dial(target, name, ids, parameters, refusal), name=f"sample-{ids.call}")
    playing.add(task)
    task.add_done_callback(playing.discard)
    if why := await refusal:
        return error_response(503, f"the sample call failed: {why}", headers={"Retry-After": "10"})
    return web.json_response({"call_sid": ids.call, "name": name}, status=202)


async def stop_all(app: web.Application) -> None:
    """The server goes down: hang up."""
    await cancel(*app[PLAYING_CALLS])


async def _dial(
    target: Target, name: str, ids: CallIds, parameters: dict[str, str], refusal: "asyncio.Future[str]"
) -> None:
    """Play the call. `refusal` gets why it is none, or nothing once its beginning was taken."""

    def settle(why: str) -> None:
        if not refusal.done():
            refusal.set_result(why)

    def played(until_ms: int) -> None:
        if until_ms >= TAKEN_MS:
            settle("")

    try:
        recording = await asyncio.to_thread(read_recording, sample_calls.path(name))
        await dial(target, recording, ids=ids, parameters=parameters, on_position=played)
    except TranscriberError as error:
        log.warning("sample call %s: %s", name, error)
        settle(str(error))
    finally:
        settle("it was broken off")


def _name(body: Any) -> str:
    name = body.get("name", sample_calls.DEFAULT) if isinstance(body, dict) else None
    if not isinstance(name, str) or name not in sample_calls.names():
        raise BadRequest(f"name must be one of {', '.join(sample_calls.names())}")
    return name


def _here(request: web.Request) -> str:
    """The address this request came in at, on this machine."""
    host, port = (request.transport.get_extra_info("sockname") if request.transport else ("127.0.0.1", 0))[:2]
    return url_of("https" if request.secure else "http", host, port)
