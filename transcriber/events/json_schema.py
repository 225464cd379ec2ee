"""JSON Schemas of everything that is published, made from the structs of `schema`. Pure."""

from typing import Any, get_args

import msgspec

from transcriber.events.schema import VERSION, Event, Partial, Persisted, event_type

Json = dict[str, Any]
PERSISTED: tuple[type[Event], ...] = get_args(Persisted)
PUBLISHED: tuple[type[Event], ...] = (Partial, *PERSISTED)

_V: Json = {"description": "The version of this form; it changes only when a reader would break.", "const": VERSION}
_SEQ: Json = {
    "description": "The event's number in its call: 1, 2, 3 … without holes over all events but partials.",
    "type": "integer",
    "minimum": 1,
}


def event_schemas(ref_template: str = "#/components/schemas/{name}") -> Json:
    """By the names of their structs: each event as it is published, what events consist of, and `Event`, any of them.

    Fields that a later version adds are allowed.
    """
    [union], schemas = msgspec.json.schema_components([Partial | Persisted], ref_template=ref_template)
    for schema in schemas.values():
        schema.pop("additionalProperties", None)
    for kind in PUBLISHED:
        schema = schemas[kind.__name__]
        envelope = {"v": _V, "type": {"description": "What happened.", "const": event_type(kind)}}
        if kind is not Partial:
            envelope["seq"] = _SEQ
        schema["properties"] = envelope | {
            name: field for name, field in schema["properties"].items() if name not in envelope
        }
        schema["required"] = [*envelope, *(name for name in schema["required"] if name not in envelope)]
    schemas["Event"] = {"description": "Anything that is published.", **union}
    plain: Json = msgspec.json.decode(msgspec.json.encode(schemas))  # defaults are tuples until here
    return plain
