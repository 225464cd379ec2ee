"""The calls that were: list, summary, transcript in five formats, deletion."""

from collections.abc import Mapping

from aiohttp import web

from transcriber import __version__
from transcriber.core.captions import FORMATS, ordered
from transcriber.core.search import parse
from transcriber.core.transcript import parsed
from transcriber.errors import BadRequest
from transcriber.ports import CallQuery, Status
from transcriber.web import params
from transcriber.web.accept import best
from transcriber.web.refusal import error_response
from transcriber.web.services import SERVICES
from transcriber.web.sharing import etag, is_known

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
    values = params.query(request, "q", "status", "since", "until", "limit", "cursor")
    if values.get("status", "live") not in STATUSES:
        raise BadRequest(f"status must be one of {', '.join(STATUSES)}")
    page = await request.app[SERVICES].archive.calls(
        CallQuery(
            status=STATUSES.get(values.get("status", "")),
            since_ms=params.moment_ms(values, "since"),
            until_ms=params.moment_ms(values, "until"),
            limit=params.whole(values, "limit", least=1, most=200, default=50),
            cursor=values.get("cursor"),
            terms=parse(values["q"]) if "q" in values else (),
        )
    )
    return web.json_response({"calls": [dict(call) for call in page.calls], "next": page.cursor})


async def call(request: web.Request) -> web.Response:
    """GET /v1/calls/{call_sid}: the summary."""
    params.query(request)
    return web.json_response(dict(await request.app[SERVICES].archive.call(params.call_sid(request))))


async def delete(request: web.Request) -> web.Response:
    """DELETE /v1/calls/{call_sid}: the call and all its keys are gone."""
    params.query(request)
    await request.app[SERVICES].archive.delete(params.call_sid(request))
    return web.Response(status=204)


async def transcript(request: web.Request) -> web.Response:
    """GET /v1/calls/{call_sid}/transcript: both tracks in one conversation, ordered by time."""
    values = params.query(request, "format", "track")
    call_sid = params.call_sid(request)
    track = values.get("track")
    if track is not None and track not in TRACKS:
        raise BadRequest(f"track must be one of {', '.join(TRACKS)}")
    chosen = _format(request, values)
    if chosen is None:
        offered = ", ".join(MEDIA_TYPES.values())
        return error_response(406, f"the Accept header wants none of {offered}", headers={"Vary": "Accept"})
    archive = request.app[SERVICES].archive
    summary = await archive.call(call_sid)
    tag = etag(call_sid, summary.get("status"), summary.get("last_seq"), chosen, track, __version__)
    headers = {"Vary": "Accept"}
    if summary.get("status") != "live":
        headers |= {"ETag": tag, "Cache-Control": "private, no-cache"}
        if is_known(request, tag):
            return web.Response(status=304, headers=headers)
    events = (parsed(text) for text in await archive.events(call_sid))
    finals = [event for event in events if event.get("type") == "final" and track in (None, event.get("track"))]
    if chosen == "json":
        found = {"call_sid": call_sid, "status": summary.get("status"), "utterances": ordered(finals)}
        return web.json_response(found, headers=headers)
    headers["Content-Disposition"] = f'attachment; filename="{call_sid}.{chosen}"'
    text = FORMATS[chosen](finals)
    return web.Response(text=text, content_type=MEDIA_TYPES[chosen], charset="utf-8", headers=headers)


def _format(request: web.Request, values: Mapping[str, str]) -> str | None:
    named = values.get("format")
    if named is not None:
        if named not in MEDIA_TYPES:
            raise BadRequest(f"format must be one of {', '.join(MEDIA_TYPES)}")
        return named
    wanted = best(", ".join(request.headers.getall("Accept", [])), list(MEDIA_TYPES.values()))
    return next((name for name, kind in MEDIA_TYPES.items() if kind == wanted), None)
