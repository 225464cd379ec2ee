"""Logging: text or JSON lines with the call and stream they belong to. Never audio, transcripts or secrets."""

import json
import logging
import os
import sys
import time
from contextvars import ContextVar
from typing import TextIO

from transcriber.observability.url_credentials import without_credentials

call_sid: ContextVar[str] = ContextVar("call_sid", default="")
stream_sid: ContextVar[str] = ContextVar("stream_sid", default="")


PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.NOTSET, 7))
"""The least level, and syslog's number for it."""


def set_up(level: str, form: str) -> None:
    """Send all logging to stderr. `form`: text or json. Lines for systemd's journal say how urgent they are."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = _Json() if form == "json" else _Text("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(_Urgent(formatter) if _is_journal(sys.stderr) else formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


def _is_journal(stream: TextIO) -> bool:
    """Whether the journal reads the stream: systemd names its device and inode (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _context() -> dict[str, str]:
    found = {"call_sid": call_sid.get(), "stream_sid": stream_sid.get()}
    return {name: sid for name, sid in found.items() if sid}


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        context = "".join(f" {name}={sid}" for name, sid in _context().items())
        return without_credentials(super().format(record) + context)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_context(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: without_credentials(text) for name, text in line.items()}, ensure_ascii=False)


class _Urgent(logging.Formatter):
    """Puts `<N>` before each line, which the journal takes off again (sd-daemon(3))."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        number = next(number for level, number in PRIORITIES if record.levelno >= level)
        return "\n".join(f"<{number}>{line}" for line in self._inner.format(record).split("\n"))
