"""What others can follow: Redis channels, each call's stream and Server-Sent Events, as an AsyncAPI 3.0 document.

`tests/web/test_asyncapi.py` holds it against the specification's own schema, the keys of the store and recorded events.
"""

import inspect
import json
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from transcriber import __version__
from transcriber.events.json_schema import PERSISTED, PUBLISHED, event_schemas
from transcriber.events.schema import Channel, Event, event_type
from transcriber.store.keys import CHANNELS, Keys

Json = dict[str, Any]
NAMES = Keys("{prefix}")
STREAM_KEY = NAMES.events("call_sid").replace("{call_sid}", "{call}")
"""The braces of the key itself are no part of an address here: they belong to the parameter's value."""
PREFIX: Json = {"description": "TRANSCRIBER_REDIS_PREFIX.", "default": "transcripts"}
CALL_SID: Json = {"description": "Twilio's CallSid.", "examples": ["CA0123456789abcdef0123456789abcdef"]}
CALL: Json = {
    "description": "Twilio's CallSid between braces, which keep a call's keys in one slot of a Redis Cluster.",
    "examples": ["{CA0123456789abcdef0123456789abcdef}"],
}
ABOUT: dict[Channel, str] = {
    "partial": "What utterances read like so far. Published only, and only the newest where Redis is slow.",
    "final": "Finished utterances, each kept in the call's stream in the same atomic step.",
    "event": "A call's lifecycle, each event kept in the call's stream in the same atomic step.",
}
PARTIALS: Json = {"type": "string", "enum": ["0", "1", "true", "false"], "description": "0: no partials."}
LAST_SEEN: Json = {"type": "string", "description": "Go on behind this seq, as with the header Last-Event-ID."}


def _ref(*path: str) -> Json:
    return {"$ref": "#/" + "/".join(path)}


def _channel(about: str, address: str, server: str, kinds: Iterable[type[Event]], parameters: Json) -> Json:
    return {
        "address": address,
        "description": about,
        "servers": [_ref("servers", server)],
        "parameters": parameters,
        "messages": {kind.__name__: _ref("components", "messages", kind.__name__) for kind in kinds},
    }


def _follow(query: Json) -> Json:
    properties = {"type": "object", "properties": query}
    return {"http": {"method": "GET", "query": properties, "bindingVersion": "0.3.0"}}


def _operation(channel: str, summary: str, **more: Any) -> Json:
    return {"action": "send", "channel": _ref("channels", channel), "summary": summary, **more}


def _message(kind: type[Event]) -> Json:
    return {
        "name": event_type(kind),
        "title": kind.__name__,
        "summary": (inspect.getdoc(kind) or "").partition("\n")[0],
        "contentType": "application/json",
        "payload": _ref("components", "schemas", kind.__name__),
    }


CHANNEL_OF_REDIS: Json = {
    kind: _channel(
        ABOUT[kind],
        NAMES.channel("{call_sid}", kind),
        "redis",
        [one for one in PUBLISHED if one.channel == kind],
        {"prefix": PREFIX, "call_sid": CALL_SID},
    )
    for kind in CHANNELS
}
DOCUMENT: Json = {
    "asyncapi": "3.0.0",
    "info": {
        "title": "Transcriber",
        "version": __version__,
        "description": "Live transcription of telephone calls. What is asked and answered stands in openapi.json.",
        "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
    },
    "defaultContentType": "application/json",
    "servers": {
        "redis": {
            "host": "{redis}",
            "protocol": "redis",
            "description": "The Redis of TRANSCRIBER_REDIS_URL, or a server's private one at its socket. With "
            "TRANSCRIBER_PUBSUB=sharded everything goes by SPUBLISH to the channels with the CallSid in braces, and "
            "what is kept by PUBLISH as well.",
            "variables": {"redis": {"default": "127.0.0.1:6379"}},
        },
        "http": {
            "host": "{server}",
            "protocol": "http",
            "description": "A server, or the proxy in front of it (https).",
            "variables": {"server": {"default": "127.0.0.1:8080"}},
            "security": [_ref("components", "securitySchemes", name) for name in ("bearer", "key")],
        },
    },
    "channels": {
        **CHANNEL_OF_REDIS,
        "stream": _channel(
            "A Redis stream: all numbered events of a call, the record of truth. The entry of an event has the id "
            "`<seq>-0` and one field, `event`, which is the JSON.",
            STREAM_KEY,
            "redis",
            PERSISTED,
            {"prefix": PREFIX, "call": CALL},
        ),
        "callEvents": _channel(
            "Server-Sent Events of one call: history, then live, without hole or repeat. `data` is the JSON, `event` "
            "its type, `id` its seq.",
            "/v1/calls/{call_sid}/events",
            "http",
            PUBLISHED,
            {"call_sid": CALL_SID},
        ),
        "allEvents": _channel(
            "Server-Sent Events of all calls, live only. `data` is the JSON, `event` its type; there is no `id`.",
            "/v1/events",
            "http",
            PUBLISHED,
            {},
        ),
    },
    "operations": {
        **{
            f"publish_{kind}": _operation(kind, f"Of all calls: PSUBSCRIBE {Keys('transcripts').channel('*', kind)}")
            for kind in CHANNELS
        },
        "keep": _operation("stream", "Read them with XRANGE, XREAD or a consumer group."),
        "sendCallEvents": _operation(
            "callEvents",
            "Until the call ends; a reader that lost the connection resumes with Last-Event-ID.",
            bindings=_follow({"partials": PARTIALS, "lastEventId": LAST_SEEN}),
        ),
        "sendAllEvents": _operation("allEvents", "Until the reader leaves.", bindings=_follow({"partials": PARTIALS})),
    },
    "components": {
        "messages": {kind.__name__: _message(kind) for kind in PUBLISHED},
        "schemas": event_schemas("#/components/schemas/{name}"),
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "httpApiKey", "in": "header", "name": "X-API-Key"},
        },
    },
}
# A union's discriminator is OpenAPI's; here every message has a schema of its own.
del DOCUMENT["components"]["schemas"]["Event"]


async def description(_request: web.Request) -> web.Response:
    """GET /asyncapi.json."""
    return web.Response(text=json.dumps(DOCUMENT, ensure_ascii=False), content_type="application/json")
