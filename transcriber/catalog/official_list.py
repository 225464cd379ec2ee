"""The official list of models: fetched, kept with its ETag, and read from the copy when its server does not answer."""

import asyncio
import json
from pathlib import Path
from typing import Any

from transcriber.catalog import entries
from transcriber.catalog.download import ProgressReporter, fetch_text
from transcriber.catalog.entries import Entry
from transcriber.errors import SourceFailed
from transcriber.observability.url_credentials import without_credentials

COPY = ".list.json"


def cached(home: Path, url: str) -> list[Entry]:
    """The list as it was last fetched; empty if it never was. Sends no request."""
    return _entries(_copy(home, url).get("models"))


def refreshed(home: Path, url: str, report: ProgressReporter) -> list[Entry]:
    """The list as it is now. When it cannot be fetched this is reported, and the copy (or nothing) is used."""
    if not url:
        return []
    copy = _copy(home, url)
    try:
        answer = asyncio.run(fetch_text(url, etag=str(copy.get("etag", ""))))
        if answer is None:
            return _entries(copy["models"])
        text, etag = answer
        rows = json.loads(text)
        found = entries.parse_official_list(rows)
    except (SourceFailed, ValueError, RecursionError) as error:
        instead = "using the copy seen last" if copy else "using the catalogue that came with this version"
        report.message(f"the list of models: {error}; {instead}")
        return _entries(copy.get("models"))
    try:
        home.mkdir(parents=True, exist_ok=True)
        fresh = home / f"{COPY}.new"
        fresh.write_text(json.dumps({"url": without_credentials(url), "etag": etag, "models": rows}))
        fresh.replace(home / COPY)
    except OSError as error:
        report.message(f"the list of models cannot be kept in {home}: {error.strerror or error}")
    return found


def _copy(home: Path, url: str) -> dict[str, Any]:
    """Empty when there is none of this URL that can be read."""
    try:
        data = json.loads((home / COPY).read_text())
        return data if data["url"] == without_credentials(url) and isinstance(data["models"], list) else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _entries(rows: Any) -> list[Entry]:
    return entries.parse_official_list(rows) if isinstance(rows, list) else []
