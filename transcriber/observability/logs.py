"""Logging: text or JSON lines with the call and stream they belong to. Never audio, transcripts or secrets."""

import json
import logging
import sys
import time
from contextvars import ContextVar

from transcriber.observability.url_credentials import without_credentials

call_sid: ContextVar[str] = ContextVar("call_sid", default="")
stream_sid: ContextVar[str] = ContextVar("stream_sid", default="")


def set_up(level: str, form: str) -> None:
    """Send all logging to stderr. `form`: text or json."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


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
