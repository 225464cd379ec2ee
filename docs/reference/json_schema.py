"""A JSON Schema in words, as a cell of a table says it."""

from collections.abc import Mapping
from typing import Any

from docs.reference.markdown import code

Json = Mapping[str, Any]
NO_LINKS: Mapping[str, str] = {}


def in_words(schema: Json, links: Mapping[str, str] = NO_LINKS) -> str:
    """Its type; a shape is a link to its section, on this page unless `links` has it by its name."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}]({links.get(name, f'#{name.lower()}')})"
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        return ", ".join(code(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(in_words(part, links) for part in schema["anyOf"])
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array":
        return f"array of {in_words(schema.get('items', {}), links)}"
    if kind == "object" and "properties" in schema:
        return "object of " + ", ".join(
            f"{code(name)} ({in_words(part, links)})" for name, part in schema["properties"].items()
        )
    if kind == "object" and isinstance(more := schema.get("additionalProperties"), Mapping):
        return f"object of {in_words(more, links)}"
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)
