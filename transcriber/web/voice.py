"""Twilio's webhooks: the TwiML that starts a stream on a call, and the stream's status callback."""

import logging
from collections.abc import Mapping
from xml.etree import ElementTree as ET

from aiohttp import web

from transcriber.config import Settings
from transcriber.core.signature import PublicAddress
from transcriber.errors import BadRequest, StoreError
from transcriber.web.access import webhook_form
from transcriber.web.params import checked_call_sid
from transcriber.web.refusal import Refusal
from transcriber.web.services import SERVICES, Services

MEDIA = "/v1/media"
STATUS = "/v1/stream-status"
MAX_REPORT = 500

log = logging.getLogger(__name__)


async def twiml(request: web.Request) -> web.Response:
    """POST /v1/twiml: start both tracks of the call, then what TRANSCRIBER_TWIML_THEN says.

    A call is never lost for want of a transcript: without room or a ticket the answer has no <Start>.
    """
    form = await webhook_form(request)
    if isinstance(form, Refusal):
        return form.response()
    call_sid = _required(form, "CallSid")
    services = request.app[SERVICES]
    root = ET.Element("Response")
    if await _room(services, call_sid):
        await _start(root, request, call_sid)
    _continue(root, services.settings.twiml_then)
    return web.Response(
        body=ET.tostring(root, encoding="utf-8", xml_declaration=True), content_type="application/xml", charset="utf-8"
    )


async def stream_status(request: web.Request) -> web.Response:
    """POST /v1/stream-status: what Twilio says about a stream. 204 also for streams that are not ours or over."""
    form = await webhook_form(request)
    if isinstance(form, Refusal):
        return form.response()
    services = request.app[SERVICES]
    stream_sid = _required(form, "StreamSid")
    match form.get("StreamEvent"):
        case "stream-stopped":
            services.sessions.end(stream_sid, "callback")
        case "stream-error":
            message = form.get("StreamError", "")[:MAX_REPORT]
            log.warning("Twilio reports an error of stream %r: %r", stream_sid, message)
            services.sessions.report(stream_sid, "twilio_error", message)
            services.sessions.end(stream_sid, "callback")
    return web.Response(status=204)


def _required(form: Mapping[str, str], name: str) -> str:
    if not form.get(name):
        raise BadRequest(f"the form has no {name}")
    try:
        return checked_call_sid(form[name])
    except BadRequest:
        raise BadRequest(
            f"{name} must be 1 to 64 letters, digits, dots, dashes or underscores, the first a letter or digit"
        ) from None


async def _room(services: Services, call_sid: str) -> bool:
    sessions = services.sessions
    if sessions.draining or sessions.full:
        log.warning("call %s goes on untranscribed: %s", call_sid, "draining" if sessions.draining else "no room")
        services.metrics.refusals.labels(status="503").inc()
        return False
    return True


async def _start(root: ET.Element, request: web.Request, call_sid: str) -> None:
    services = request.app[SERVICES]
    ticket = ""
    try:
        ticket = await services.tickets.issue(call_sid)
    except StoreError as error:
        log.warning("no ticket for call %s: %s", call_sid, error)
        if services.settings.require_ticket:
            return
    url = _public(request, "ws") + media_path(services.settings, ticket)
    attributes = {"url": url, "track": "both_tracks", "statusCallback": _public(request, "http") + STATUS}
    stream = ET.SubElement(ET.SubElement(root, "Start"), "Stream", attributes)
    if ticket:
        ET.SubElement(stream, "Parameter", {"name": "ticket", "value": ticket})


def media_path(settings: Settings, ticket: str) -> str:
    """Where a stream is to go: where tickets are a must, with the ticket, so that it is proved before the 101."""
    return f"{MEDIA}/ticket/{ticket}" if ticket and settings.require_ticket else MEDIA


def _public(request: web.Request, scheme: str) -> str:
    """The server's own address with `ws` or `http` as scheme, made secure where the way in is."""
    public_url = request.app[SERVICES].settings.public_url
    if public_url:
        return PublicAddress.parse(public_url).url(f"{scheme}s", "")
    # Only reached from this machine or with TRANSCRIBER_INSECURE, so the headers decide nothing but the address.
    secure = request.secure or request.headers.get("X-Forwarded-Proto", "") == "https"
    return f"{scheme}{'s' if secure else ''}://{request.host}"


def _continue(root: ET.Element, then: str) -> None:
    kind, _, argument = then.partition(":")
    match kind:
        case "dial":
            ET.SubElement(root, "Dial").text = argument
        case "redirect":
            ET.SubElement(root, "Redirect").text = argument
        case _:
            ET.SubElement(root, "Pause", {"length": argument})
