"""The history of calls: list, summary, transcript in five formats, deletion."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from transcriber import __version__
from transcriber.errors import BadRequest
from transcriber.events.captions import FORMATS
from transcriber.events.conversation import Conversation
from transcriber.store.ports import CallPage, CallQuery, Status
from transcriber.store.search.query import parse_query
from transcriber.web.api import parameters
from transcriber.web.api.content_negotiation import best
from transcriber.web.api.errors import error_response
from transcriber.web.caching import etag, matches_client_etag
from transcriber.web.limits.history_reads import CALLS_PER_CHARGE, EVENTS_PER_CHARGE, SEARCH_TOKENS
from transcriber.web.limits.request_rate import charge_more
from transcriber.web.services import SERVICES

MEDIA_TYPES = {
    "json": "application/json",
    "txt": "text/plain",
    "vtt": "text/vtt",
    "srt": "application/x-subrip",
    "csv": "text/csv",
}
STATUSES: Mapping[str, Status] = {"live": "live", "ended": "ended", "interrupted": "interrupted"}
TRACKS = ("inbound", "outbound")


async def calls(request: web.Request) -> web.Response:
    """GET /v1/calls: a page of summaries, newest first, and the cursor of the next page."""
    values = parameters.query(request, "q", "status", "since", "until", "limit", "cursor")
    if values.get("status", "live") not in STATUSES:
        raise BadRequest(f"status must be one of {', '.join(STATUSES)}")
    query = CallQuery(
        status=STATUSES.get(values.get("status", "")),
        since_ms=parameters.timestamp_ms(values, "since"),
        until_ms=parameters.timestamp_ms(values, "until"),
        limit=parameters.integer(values, "limit", least=1, most=200, default=50),
        cursor=values.get("cursor"),
        terms=parse_query(values["q"]) if "q" in values else (),
    )
    charge_more(request, SEARCH_TOKENS if query.terms else query.limit // CALLS_PER_CHARGE)
    async with request.app[SERVICES].read_limits.slot():
        page = await request.app[SERVICES].history.calls(query)
        return await _written(request, _list(page), "application/json")


async def call(request: web.Request) -> web.Response:
    """GET /v1/calls/{call_sid}: the summary."""
    parameters.query(request)
    return web.json_response(dict(await request.app[SERVICES].history.call(parameters.call_sid_of(request))))


async def delete(request: web.Request) -> web.Response:
    """DELETE /v1/calls/{call_sid}: the call and all its keys are gone."""
    parameters.query(request)
    await request.app[SERVICES].history.delete(parameters.call_sid_of(request))
    return web.Response(status=204)


async def transcript(request: web.Request) -> web.Response:
    """GET /v1/calls/{call_sid}/transcript: both tracks in one conversation, ordered by time."""
    values = parameters.query(request, "format", "track")
    call_sid = parameters.call_sid_of(request)
    track = values.get("track")
    if track is not None and track not in TRACKS:
        raise BadRequest(f"track must be one of {', '.join(TRACKS)}")
    chosen = _format(request, values)
    if chosen is None:
        offered = ", ".join(MEDIA_TYPES.values())
        return error_response(406, f"the Accept header wants none of {offered}", headers={"Vary": "Accept"})
    history = request.app[SERVICES].history
    summary = await history.call(call_sid)
    tag = etag(call_sid, summary.get("status"), summary.get("last_seq"), chosen, track, __version__)
    headers = {"Vary": "Accept"}
    if summary.get("status") != "live":
        headers |= {"ETag": tag, "Cache-Control": "private, no-cache"}
        if matches_client_etag(request, tag):
            return web.Response(status=304, headers=headers)
    charge_more(request, int(summary.get("last_seq", 0)) // EVENTS_PER_CHARGE)
    async with request.app[SERVICES].read_limits.slot():
        conversation = Conversation(track=track)
        async for page in history.pages(call_sid):
            await request.app[SERVICES].read_limits.time_slices.collect(map(conversation.add, page))
        if chosen == "json":
            pieces = _utterances({"call_sid": call_sid, "status": summary.get("status")}, conversation.texts())
        else:
            headers["Content-Disposition"] = f'attachment; filename="{call_sid}.{chosen}"'
            pieces = FORMATS[chosen](conversation.finals())
        return await _written(request, pieces, MEDIA_TYPES[chosen], headers)


async def _written(
    request: web.Request, pieces: Iterator[str], media_type: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """An answer that is put together in turns; aiohttp compresses long ones on a thread."""
    parts = await request.app[SERVICES].read_limits.time_slices.collect(piece.encode() for piece in pieces)
    return web.Response(body=b"".join(parts), content_type=media_type, charset="utf-8", headers=headers)


def _list(page: CallPage) -> Iterator[str]:
    yield '{"calls": ['
    for number, found in enumerate(page.calls):
        yield (", " if number else "") + json.dumps(dict(found))
    yield f'], "next": {json.dumps(page.cursor)}}}'


def _utterances(call: Mapping[str, Any], finals: Iterator[str]) -> Iterator[str]:
    """Finals go out as the JSON that was stored."""
    yield json.dumps(call)[:-1] + ', "utterances": ['
    for number, text in enumerate(finals):
        yield ", " + text if number else text
    yield "]}"


def _format(request: web.Request, values: Mapping[str, str]) -> str | None:
    named = values.get("format")
    if named is not None:
        if named not in MEDIA_TYPES:
            raise BadRequest(f"format must be one of {', '.join(MEDIA_TYPES)}")
        return named
    wanted = best(", ".join(request.headers.getall("Accept", [])), list(MEDIA_TYPES.values()))
    return next((name for name, kind in MEDIA_TYPES.items() if kind == wanted), None)
