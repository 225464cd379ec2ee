"""Every setting: name, default, meaning."""

import dataclasses
from dataclasses import Field
from typing import Any

from docs.reference import markdown
from docs.reference.markdown import code, sentence
from transcriber.settings import sources
from transcriber.settings.definition import Settings

# What the environment of whoever writes the page would change.
DATA_DIR = "~/.local/share/transcriber"


def table() -> str:
    """The table."""
    rows = [(code(item.name.upper()), default(item), _meaning(item)) for item in dataclasses.fields(Settings)]
    return markdown.table(("name", "default", "meaning"), rows)


def default(item: "Field[Any]") -> str:
    """The default as the page shows it."""
    if item.name == "data_dir":
        return code(DATA_DIR)
    value = getattr(Settings(), item.name)
    if value in ("", ()):
        return "empty"
    return code(str(int(value)) if isinstance(value, bool) else str(value))


def _meaning(item: "Field[Any]") -> str:
    said = sentence(item.metadata["doc"])
    if item.metadata["secret"]:
        return f"{said} A secret; may lie in a file."
    return f"{said} May lie in a file." if sources.has_file(item) else said
