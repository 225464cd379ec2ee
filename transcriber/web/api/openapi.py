"""The description of the HTTP API, OpenAPI 3.1.

`tests/web/test_openapi.py` holds it against the routes; the `api` ring holds it against a running server.
"""

import json
from typing import Any

from aiohttp import web

from transcriber import __version__
from transcriber.web.api.schemas import CALL_SID, EVENTS, RESUMING, SCHEMAS, TEXT, Json, ref
from transcriber.web.api.webhooks import WEBHOOKS


def _query(name: str, doc: str, **schema: Any) -> Json:
    return {"name": name, "in": "query", "description": doc, "schema": schema or {"type": "string"}}


def _answer(doc: str, schema: Json | None = None, media: str = "application/json") -> Json:
    return {"description": doc, "content": {media: {"schema": schema or {"type": "string"}}}}


def _error(doc: str) -> Json:
    return _answer(doc, ref("Error"))


MOMENT = "ISO 8601 (without an offset: UTC; 20261123 is a date) or epoch seconds, 9 to 11 digits"
PARTIALS = _query("partials", "0: no partials", type="string", enum=["0", "1", "true", "false"])
OFTEN: Json = {"429": _error("too often, or too many at once; see Retry-After")}
SLOW: Json = {"408": _error("the body did not arrive in time")}
CLOSED: Json = {
    "401": _error("no valid API key"),
    "403": _error("not allowed"),
    "503": _error("Redis is away, or busy"),
}
CLOSED |= OFTEN
BAD, NONE = {"400": _error("a parameter is wrong; the message names it")}, {"404": _error("no such call")}
STREAM: Json = {"200": _answer("each `data` is an Event; see asyncapi.json", media="text/event-stream")}


def _operation(summary: str, responses: Json, *parameters: Json, tag: str, **more: Any) -> Json:
    return {"summary": summary, "tags": [tag], "parameters": list(parameters), "responses": responses, **more}


OPEN: Json = {"security": []}


def _open_page(summary: str, doc: str, media: str) -> Json:
    schema = {"type": "object" if media == "application/json" else "string"}
    return {"get": _operation(summary, {"200": _answer(doc, schema, media), **OFTEN}, tag="operation", **OPEN)}


def _media(summary: str, *parameters: Json) -> Json:
    begins: Json = {"101": {"description": "the stream may begin"}}
    refused = {"403": _error("signature missing or wrong, or a bad ticket"), "426": _error("not a WebSocket"), **OFTEN}
    full = {"503": _error("full or draining; see Retry-After")}
    return {"get": _operation(summary, begins | refused | full, *parameters, tag="Twilio", **OPEN)}


def _in_path(name: str, doc: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": TEXT, "description": doc}


def _static() -> Json:
    name = _in_path("name", "the file")
    files = {kind: {"schema": TEXT} for kind in ("text/html", "text/javascript", "text/css", "image/svg+xml")}
    found: Json = {"200": {"description": "the file", "content": files}, "304": {"description": "not changed"}}
    return {
        "get": _operation(
            "The page's files", {**found, "404": _error("no such file"), **OFTEN}, name, tag="operation", **OPEN
        )
    }


def _attachment(summary: str, status: str, wish: str, *more: Json) -> Json:
    refusals = {"409": _error("not in progress, no track left, or not configured"), "502": _error("Twilio fails")}
    return {
        "post": _operation(
            summary,
            {status: _answer("done", ref("Attached")), **refusals, **SLOW, **BAD, **NONE, **CLOSED},
            CALL_SID,
            *more,
            tag="Twilio",
            requestBody={"content": {"application/json": {"schema": ref(wish)}}},
        )
    }


OTHER_SERVERS: Json = {
    "name": "X-Other-Servers",
    "in": "header",
    "schema": {"type": "string", "enum": ["yes"]},
    "description": "set by a proxy: if this server has no room, another one may take the stream",
}
FORM: Json = {
    "requestBody": {
        "content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}},
        "description": "the fields Twilio sends, signed with X-Twilio-Signature",
    },
    **OPEN,
}
UNSIGNED: Json = {"403": _error("signature missing or wrong"), "413": _error("too large a form"), **SLOW, **OFTEN}
PATHS: Json = {
    "/v1/calls": {
        "get": _operation(
            "Calls, newest first",
            {"200": _answer("a page", ref("CallPage")), **BAD, **CLOSED},
            _query("q", 'words in the transcript: all of them; `pay*` a beginning; `"credit card"` a phrase'),
            _query("status", "only these", type="string", enum=["live", "ended", "interrupted"]),
            _query("since", f"started at or after: {MOMENT}"),
            _query("until", f"started at or before: {MOMENT}"),
            _query("limit", "calls a page", type="integer", minimum=1, maximum=200, default=50),
            _query("cursor", "`next` of the page before"),
            tag="history",
        )
    },
    "/v1/calls/{call_sid}": {
        "get": _operation(
            "A call's summary",
            {"200": _answer("the call", ref("Call")), **BAD, **NONE, **CLOSED},
            CALL_SID,
            tag="history",
        ),
        "delete": _operation(
            "Remove an ended call and everything of it",
            {"204": {"description": "gone"}, "409": _error("the call is live"), **BAD, **NONE, **CLOSED},
            CALL_SID,
            tag="history",
        ),
    },
    "/v1/calls/{call_sid}/transcript": {
        "get": _operation(
            "Both tracks as one conversation, in the order of time",
            {
                "200": {
                    "description": "the transcript; an ended call's carries an ETag",
                    "content": {
                        "application/json": {"schema": ref("Transcript")},
                        **{kind: {"schema": {"type": "string"}} for kind in ("text/plain", "text/vtt", "text/csv")},
                        "application/x-subrip": {"schema": {"type": "string"}},
                    },
                },
                "304": {"description": "not changed"},
                "406": _error("the Accept header wants none of these"),
                **BAD,
                **NONE,
                **CLOSED,
            },
            CALL_SID,
            _query("format", "instead of Accept", type="string", enum=["json", "txt", "vtt", "srt", "csv"]),
            _query("track", "only this side", type="string", enum=["inbound", "outbound"]),
            tag="history",
        )
    },
    "/v1/calls/{call_sid}/events": {
        "get": _operation(
            "A call's events as Server-Sent Events: history, then live, without hole or repeat",
            {**STREAM, **BAD, **NONE, **CLOSED},
            CALL_SID,
            PARTIALS,
            *RESUMING,
            tag="live",
        )
    },
    "/v1/calls/{call_sid}/attach": _attachment(
        "Start a stream on a call in progress at Twilio", "201", "Attach", OTHER_SERVERS
    ),
    "/v1/calls/{call_sid}/detach": _attachment("Stop that stream; the call goes on", "200", "Detach"),
    "/v1/events": {
        "get": _operation(
            "All calls' events as Server-Sent Events, live only", {**STREAM, **BAD, **CLOSED}, PARTIALS, tag="live"
        )
    },
    "/v1/media": _media("The WebSocket that Twilio Media Streams dials; a ticket may stand in `?ticket=`"),
    "/v1/media/ticket/{ticket}": _media("The same, proved by a ticket before the 101", _in_path("ticket", "good once")),
    "/v1/twiml": {
        "post": _operation(
            "Voice webhook: TwiML that starts a stream of both tracks",
            {"200": _answer("TwiML", media="application/xml"), **UNSIGNED},
            OTHER_SERVERS,
            tag="Twilio",
            **FORM,
        )
    },
    "/v1/stream-status": {
        "post": _operation(
            "Status callback of a stream",
            {"204": {"description": "noted"}, **UNSIGNED},
            tag="Twilio",
            **FORM,
        )
    },
    "/v1/server": {
        "get": _operation("What a client should know", {"200": _answer("", ref("Server")), **CLOSED}, tag="operation")
    },
    "/v1/sample-calls": {
        "post": _operation(
            "Dial a bundled call to this server, in real time",
            {"202": _answer("it begins", ref("SampleCall")), **SLOW, **BAD, **CLOSED},
            tag="operation",
            requestBody={"content": {"application/json": {"schema": ref("SampleWish")}}},
        )
    },
    "/": _open_page("The page", "captions, history, search", "text/html"),
    "/static/{name}": _static(),
    "/healthz": {"get": _operation("Alive", {"200": _answer("yes", ref("Health"))}, tag="operation", **OPEN)},
    "/readyz": {
        "get": _operation(
            "Whether a new call would be transcribed",
            {"200": _answer("yes", ref("Health")), "503": _answer("what is wrong", ref("Health")), **BAD},
            _query("exclude", "checks to be left out, between commas: see the problems; `room` stands for `full`"),
            tag="operation",
            **OPEN,
        )
    },
    "/metrics": {
        "get": _operation("Prometheus", {"200": _answer("text", media="text/plain")}, tag="operation", **OPEN)
    },
    "/openapi.json": _open_page("This description", "OpenAPI 3.1", "application/json"),
    "/asyncapi.json": _open_page("Redis channels, streams of events", "AsyncAPI 3.0", "application/json"),
    "/docs": _open_page("This description for people", "a page", "text/html"),
}
DOCUMENT: Json = {
    "openapi": "3.1.0",
    "info": {
        "title": "Transcriber",
        "version": __version__,
        "summary": "Live transcription of telephone calls, on your own machines",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    },
    "security": [{"bearer": []}, {"key": []}],
    "paths": PATHS,
    "webhooks": WEBHOOKS,
    "components": {
        "schemas": SCHEMAS | EVENTS,
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        },
    },
}


async def description(_request: web.Request) -> web.Response:
    """GET /openapi.json."""
    return web.Response(text=json.dumps(DOCUMENT, ensure_ascii=False), content_type="application/json")
