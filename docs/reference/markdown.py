"""Markdown as the pages have it."""

import re
from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what would break it is escaped."""
    lines = [_row(heads), _row(["---"] * len(heads))]
    return "\n".join([*lines, *(_row([_cell(cell) for cell in row]) for row in rows)])


def code(text: str) -> str:
    """Text in code font; empty stays empty."""
    return f"`{text}`" if text else ""


def sentence(text: str) -> str:
    """With a capital at its beginning and a full stop at its end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if not text or text[-1] in ".:!?" else ".")


def prose(text: str) -> str:
    """A paragraph of one sentence; what HTML would take for a tag is shown as it is."""
    return _shown(sentence(text))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    return " ".join(_shown(text).replace("|", "\\|").split())


def _shown(text: str) -> str:
    """`<` outside code is written so that it is no tag."""
    return re.sub(r"(`[^`]*`)|<", lambda found: found[1] or "&lt;", text)
