"""The shapes of the API's answers and of its parameters, as OpenAPI has them."""

from typing import Any

import msgspec

from transcriber.events.json_schema import event_schemas
from transcriber.settings import api_keys
from transcriber.store.call_summary import Call
from transcriber.telephony.twilio.messages import SID

Json = dict[str, Any]
TEXT: Json = {"type": "string"}
COUNT: Json = {"type": "integer", "minimum": 0}
NULL_OR_TEXT: Json = {"type": ["string", "null"]}

CALL_SID: Json = {
    "name": "call_sid",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": f"^{SID.pattern}$"},
    "description": "Twilio's CallSid",
}

_PLACE: Json = {
    "description": "seq of the last event seen: go on behind it; the header wins",
    "schema": {"type": "string", "pattern": "^[0-9]{0,15}$"},
}
RESUMING: tuple[Json, ...] = (
    {"name": "Last-Event-ID", "in": "header", **_PLACE},
    {"name": "lastEventId", "in": "query", **_PLACE},
    {"name": "evs_last_event_id", "in": "query", **_PLACE},
)


def ref(name: str) -> Json:
    """A shape by its name in SCHEMAS."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Json, *optional: str) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


def _call() -> Json:
    """A call's summary, and what a search adds to it."""
    _, schemas = msgspec.json.schema_components([Call], ref_template="#/components/schemas/{name}")
    described = schemas["Call"]["properties"]
    schemas["Call"]["properties"] = {name: described[name] for name in Call.__annotations__} | {
        "matches": {"type": "array", "items": ref("Match"), "maxItems": 3},
        "match_count": COUNT,
    }
    return schemas


SCHEMAS: Json = {
    "Error": _object({"error": _object({"code": TEXT, "message": TEXT})}),
    "Health": _object({"status": TEXT}),
    **_call(),
    "Match": _object(
        {
            "seq": COUNT,
            "track": TEXT,
            "speaker": TEXT,
            "start_ms": COUNT,
            "end_ms": COUNT,
            "text": TEXT,
            "marks": {
                "type": "array",
                "description": "[from, to) of each place, in code points of `text`",
                "items": {"type": "array", "items": COUNT, "minItems": 2, "maxItems": 2},
            },
        }
    ),
    "CallPage": _object({"calls": {"type": "array", "items": ref("Call")}, "next": NULL_OR_TEXT}),
    "Server": _object(
        {
            "version": TEXT,
            "public_url": TEXT,
            "model": TEXT,
            "language": TEXT,
            "demo": {"type": "boolean"},
            "sample_calls": {"type": "array", "items": TEXT},
            "roles": {
                "type": "array",
                "description": "what whoever asks may do",
                "items": {"type": "string", "enum": [*api_keys.ROLE_NAMES]},
            },
        }
    ),
    "Attached": _object({"call_sid": TEXT, "stream_sid": TEXT, "name": TEXT}),
    "Attach": _object(
        {
            "name": TEXT,
            "track": {"enum": ["both", "inbound", "outbound"]},
            "parameters": {"type": "object", "additionalProperties": TEXT},
        },
        "name",
        "track",
        "parameters",
    ),
    "Detach": _object({"name": TEXT}, "name"),
    "SampleCall": _object({"call_sid": TEXT, "name": TEXT}),
    "SampleWish": _object({"name": TEXT}, "name"),
    "Transcript": _object({"call_sid": TEXT, "status": TEXT, "utterances": {"type": "array", "items": ref("Final")}}),
}
EVENTS: Json = event_schemas("#/components/schemas/{name}")
