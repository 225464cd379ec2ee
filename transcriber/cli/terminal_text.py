"""What may be shown on a terminal: text from the network without control characters, JSON lines, clock times."""

import json
import sys
from importlib.util import find_spec
from typing import Any, TextIO

from transcriber.observability.url_credentials import without_credentials

JOINERS = "\u200c\u200d"
TAGS = range(0xE0020, 0xE0080)
"""What some flags are written with."""


def draws(stream: TextIO) -> bool:
    """Whether more than plain lines may be written: it is a terminal, and rich (the extra `terminal`) is installed."""
    return stream.isatty() and find_spec("rich") is not None


def printable(text: str) -> str:
    """The text on one line: line ends, escape sequences' bytes and invisible direction marks become spaces."""
    return "".join(c if c.isprintable() or c in JOINERS or ord(c) in TAGS else " " for c in text)


def json_line(data: Any) -> str:
    """Compact JSON in which only printable characters are left unescaped."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def clock_time(ms: int) -> str:
    """Milliseconds as `01:05`, or `1:00:05` from an hour on."""
    minutes, seconds = divmod(max(ms, 0) // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"


def print_status(text: str) -> None:
    """A line about the command itself, on stderr: a pipe's reader gets only what was asked for."""
    print(f"transcriber: {printable(without_credentials(text))}", file=sys.stderr, flush=True)
