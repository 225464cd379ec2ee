"""Twilio's webhooks: a call that comes in, answered with TwiML, and the status callback of its stream."""

import logging
from collections.abc import Mapping

from aiohttp import web

from transcriber.errors import StoreError
from transcriber.settings.definition import Settings
from transcriber.store.ports import StatusCallback
from transcriber.telephony.twilio.messages import SID, clean
from transcriber.telephony.twilio.signature import PublicAddress
from transcriber.telephony.twilio.twiml import StreamTarget, voice_response
from transcriber.web.access.ticket_issuer import TICKET_ISSUER
from transcriber.web.access.twilio_requests import webhook_form
from transcriber.web.api.errors import HttpRefusal
from transcriber.web.services import SERVICES, Services

MEDIA = "/v1/media"
STATUS = "/v1/stream-status"
OTHER_SERVERS = "X-Other-Servers"
MAX_REPORT_CHARS = 500
MAX_SID_CHARS = 64
WHY = {
    "draining": "the server is shutting down",
    "no_call": "the webhook names no call",
    "no_ticket": "no ticket can be issued, and one is required",
    "error": "something went wrong on the server",
}
EXPECTED = ("draining", "full")

log = logging.getLogger(__name__)


async def twiml(request: web.Request) -> web.Response:
    """POST /v1/twiml: start both tracks of the call, then what TRANSCRIBER_TWIML_THEN says.

    A call is never lost for want of a transcript: whatever came with a good signature is answered with TwiML. Where it
    has no <Start>, a comment says why, and the log and `transcriber_calls_untranscribed_total` say it, too.
    """
    form = await webhook_form(request)
    if isinstance(form, HttpRefusal):
        return form.response()
    services = request.app[SERVICES]
    target, reason, why = None, "", ""
    try:
        target, reason = await _target(request, form)
    except Exception as error:  # whatever it is, the call goes on
        reason = "error"
        services.log_limiter.log(log, logging.ERROR, "TwiML failed", "no stream could be started", exc_info=error)
    if reason:
        services.metrics.calls_untranscribed.labels(reason).inc()
        text, call_sid = "call %r goes on untranscribed: %s", form.get("CallSid", "")[:MAX_SID_CHARS]
        level = logging.WARNING if reason in EXPECTED else logging.ERROR
        why = services.sessions.admission.why_full if reason == "full" else WHY[reason]
        services.log_limiter.log(log, level, f"untranscribed: {reason}", text, call_sid, why)
    body = voice_response(target, why_not=why, then=services.settings.twiml_then)
    return web.Response(body=body, content_type="application/xml", charset="utf-8")


async def stream_status(request: web.Request) -> web.Response:
    """POST /v1/stream-status: what Twilio says about a stream. 204 also for streams that are not here or over."""
    form = await webhook_form(request)
    if isinstance(form, HttpRefusal):
        return form.response()
    services = request.app[SERVICES]
    stream_sid = form.get("StreamSid", "")
    if not SID.fullmatch(stream_sid):
        services.metrics.bad_messages.labels("bad_status_callback").inc()
        text = "a status callback names no stream: %r"
        services.log_limiter.log(log, logging.WARNING, "bad status callback", text, stream_sid[:MAX_SID_CHARS])
        return web.Response(status=204)
    match form.get("StreamEvent"):
        case "stream-stopped":
            await _heed(services, StatusCallback(stream_sid))
        case "stream-error":
            message = clean(form.get("StreamError", ""), MAX_REPORT_CHARS)
            text = "Twilio reports an error of stream %r: %r"
            services.log_limiter.log(log, logging.WARNING, "Twilio reports an error", text, stream_sid, message)
            await _heed(services, StatusCallback(stream_sid, message))
    return web.Response(status=204)


async def _heed(services: Services, callback: StatusCallback) -> None:
    """Take it, or pass it on to the server that may have the stream."""
    if not services.sessions.heed_callback(callback):
        try:
            await services.status_callbacks.pass_on(callback)
        except StoreError as error:  # the stream then ends with its socket, or by inactivity
            text = "a status callback was not passed on: %s"
            services.log_limiter.log(log, logging.INFO, "status callback not passed on", text, error)


async def _target(request: web.Request, form: Mapping[str, str]) -> tuple[StreamTarget | None, str]:
    """Where the call's stream is to go, or why there can be none."""
    services, call_sid = request.app[SERVICES], form.get("CallSid", "")
    if not SID.fullmatch(call_sid):
        return None, "no_call"
    admission = services.sessions.admission
    if (admission.draining or admission.full) and not others_may_take(request):
        services.metrics.refusals.labels(status="503").inc()
        return None, "draining" if admission.draining else "full"
    ticket = ""
    try:
        ticket = await request.app[TICKET_ISSUER].issue(call_sid)
    except StoreError as error:
        text = "no ticket for call %s: %s"
        services.log_limiter.log(log, logging.WARNING, "no ticket", text, call_sid, error)
        if services.settings.require_ticket:
            return None, "no_ticket"
    url = _public(request, "ws") + media_path(services.settings, ticket)
    return StreamTarget(url, _public(request, "http") + STATUS, ticket), ""


def others_may_take(request: web.Request) -> bool:
    """Whether the proxy in front says that it has other servers for a stream that this one has no room for."""
    return request.headers.get(OTHER_SERVERS, "") == "yes"


def media_path(settings: Settings, ticket: str) -> str:
    """Where a stream is to go. Tickets that are a must stand in it, to be checked before the 101."""
    return f"{MEDIA}/ticket/{ticket}" if ticket and settings.require_ticket else MEDIA


def _public(request: web.Request, scheme: str) -> str:
    """The server's own address with `ws` or `http` as scheme, made secure where the way in is."""
    public_url = request.app[SERVICES].settings.public_url
    if public_url:
        return PublicAddress.parse(public_url).url(f"{scheme}s", "")
    # Only reached from this machine, with a key or with TRANSCRIBER_INSECURE, so the headers decide only the address.
    secure = request.secure or request.headers.get("X-Forwarded-Proto", "") == "https"
    return f"{scheme}{'s' if secure else ''}://{request.host}"
