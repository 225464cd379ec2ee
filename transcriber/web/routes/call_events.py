"""Server-Sent Events: one call from any point on, history and then live; or all calls, live."""

import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

from aiohttp import web

from transcriber.errors import BadRequest, StoreError
from transcriber.events.schema import parse
from transcriber.store.ports import PublishedEvent
from transcriber.web.api import parameters
from transcriber.web.limits import event_streams
from transcriber.web.services import SERVICES
from transcriber.web.sse.call_event_stream import CallEventStream
from transcriber.web.sse.heartbeats import CLOSING, UNAVAILABLE, pause, with_heartbeats
from transcriber.web.sse.response import SseResponse
from transcriber.web.sse.resume import ResumeRequest

PARTIALS_ELSEWHERE = "partials come at /v1/calls/{call_sid}/events"
log = logging.getLogger(__name__)


async def call_events(request: web.Request) -> web.StreamResponse:
    """GET /v1/calls/{call_sid}/events: no hole and no repeat; `id:` is the seq, `Last-Event-ID` resumes after it."""
    asked = ResumeRequest.of(request, "partials")
    partials = parameters.flag(asked.rest, "partials", default=True)
    call_sid = parameters.call_sid_of(request)
    await request.app[SERVICES].history.call(call_sid)  # an unknown call is a 404, before the answer begins
    with event_streams.slot(request) as refusal:
        if refusal is not None:
            return refusal.response()
        answer = SseResponse(request)
        with suppress(ConnectionError):  # the reader left, or does not read
            await answer.open(padded=asked.padded)
            await CallEventStream(request, answer, call_sid=call_sid, after=asked.after, partials=partials).run()
        return answer.response


async def all_events(request: web.Request) -> web.StreamResponse:
    """GET /v1/events: what is published about any call from now on. Numbers are per call, so there is no `id:`."""
    asked = ResumeRequest.of(request, "partials")
    sharded = request.app[SERVICES].settings.pubsub == "sharded"
    partials = parameters.flag(asked.rest, "partials", default=not sharded)
    if partials and sharded:
        raise BadRequest(f"with TRANSCRIBER_PUBSUB=sharded this has no partials: {PARTIALS_ELSEWHERE}")
    with event_streams.slot(request) as refusal:
        if refusal is not None:
            return refusal.response()
        answer = SseResponse(request)
        with suppress(ConnectionError):
            await answer.open(padded=asked.padded)
            if sharded:
                await answer.comment(PARTIALS_ELSEWHERE)
            await _follow_all(request, answer, partials=partials)
        return answer.response


async def _follow_all(request: web.Request, answer: SseResponse, *, partials: bool) -> None:
    """Until the reader leaves (ConnectionError) or the server goes down."""
    services, closing = request.app[SERVICES], request.app[CLOSING]
    outage = ""
    while not closing.is_set():
        try:
            async with services.feed.follow(partials=partials) as messages:
                outage = ""
                await _send_all(messages, answer, request)
        except StoreError as error:
            if error.reason != outage:
                outage = error.reason
                text = "live events of all calls: %s; following again"
                services.log_limiter.log(log, logging.WARNING, "live events broke off", text, error)
                await answer.comment(UNAVAILABLE.format(outage))
        await pause(answer, closing, services.sse_retry_s)


async def _send_all(messages: AsyncIterator[PublishedEvent], answer: SseResponse, request: web.Request) -> None:
    every_s = request.app[SERVICES].heartbeat_s
    async with aclosing(with_heartbeats(messages, every_s=every_s, closing=request.app[CLOSING])) as arriving:
        async for message in arriving:
            if message is None:
                await answer.heartbeat()
            else:
                await answer.send(message.json, kind=parse(message.json).get("type"))
