"""The HTTP API, out of its OpenAPI description."""

import re
from collections.abc import Iterator

from docs.reference import events
from docs.reference.json_schema import Json, in_words
from docs.reference.markdown import code, prose, sentence, table
from transcriber.web.api.errors import CODES
from transcriber.web.api.openapi import DOCUMENT

# Shapes that have their section on the page of events.
EVENTS = {kind.__name__: f"events.md#{events.anchor(kind)}" for kind in events.types_of_events()}
EVENTS |= {"Word": "events.md#word", "Event": "events.md"}


def routes() -> str:
    """Every route, with a link to its section."""
    rows = [
        (f"[`{method} {path}`](#{_anchor(method, path)})", sentence(said["summary"])) for method, path, said in _all()
    ]
    return table(("route", "what it does"), rows)


def operations() -> str:
    """A section a route: key, parameters, body, answers."""
    return "\n\n".join("\n\n".join(_section(method, path, said)) for method, path, said in _all())


def shapes() -> str:
    """A section a JSON shape, with its fields."""
    shown = {name: shape for name, shape in DOCUMENT["components"]["schemas"].items() if name not in EVENTS}
    return "\n\n".join(f"### {name}\n\n{_properties(shape)}" for name, shape in shown.items())


def error_codes() -> str:
    """The code that follows from a status."""
    return table(("status", "code"), [(str(status), code(name)) for status, name in sorted(CODES.items())])


def _all() -> Iterator[tuple[str, str, Json]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _section(method: str, path: str, operation: Json) -> Iterator[str]:
    yield f"### {method} {path}"
    key = "" if "security" not in operation else " No API key is needed."
    yield prose(operation["summary"]) + key
    if operation["parameters"]:
        parameters = [
            (code(item["name"]), item["in"], in_words(item["schema"], EVENTS), _described(item))
            for item in operation["parameters"]
        ]
        yield table(("parameter", "in", "type", "meaning"), parameters)
    if body := operation.get("requestBody"):
        [(media, content)] = body["content"].items()
        said = prose(body["description"]) if "description" in body else ""
        yield f"Body: {code(media)}, {in_words(content['schema'], EVENTS)}. {said}".strip()
    rows = [
        (status, sentence(said["description"]), _contents(said))
        for status, said in sorted(operation["responses"].items())
    ]
    yield table(("status", "meaning", "body"), rows)


def _contents(answer: Json) -> str:
    by_schema: dict[str, list[str]] = {}
    for media, content in answer.get("content", {}).items():
        by_schema.setdefault(in_words(content["schema"], EVENTS), []).append(code(media))
    return "; ".join(f"{', '.join(media)}: {schema}" for schema, media in by_schema.items())


def _properties(shape: Json) -> str:
    required = shape.get("required", ())
    rows = [
        (
            code(name),
            in_words(schema, EVENTS),
            ("" if name in required else "May be absent. ") + sentence(schema.get("description", "")),
        )
        for name, schema in shape["properties"].items()
    ]
    return table(("field", "type", "meaning"), rows)


def _described(parameter: Json) -> str:
    schema, said = parameter["schema"], [sentence(parameter.get("description", ""))]
    if "default" in schema:
        said.append(f"Default: {code(schema['default'])}.")
    if "maximum" in schema:
        said.append(f"{schema['minimum']} to {schema['maximum']}.")
    return " ".join(said)


def _anchor(method: str, path: str) -> str:
    """As builders make it of the heading."""
    return re.sub(r"[^\w\s-]", "", f"{method} {path}").strip().lower().replace(" ", "-")
