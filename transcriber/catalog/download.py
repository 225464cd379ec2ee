"""Fetching one file over HTTP into a `.part` file that survives a cut, an interruption and the end of the process.

Beside `X.part` lies `X.part.json`: from where it came, how long it will be, and the validator (ETag or Last-Modified)
with which the server is asked for the rest only if it still has the same file.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp

from transcriber.errors import NotEnoughSpace, SourceFailed
from transcriber.observability.url_credentials import without_credentials

CONNECT_S = 10.0
STALL_S = 60.0
"""Nothing received for so long: the connection counts as broken."""
MAX_FRUITLESS = 2
"""Attempts in a row that bring nothing, until the source is given up."""
MAX_NUMBER = 19
PIECE_BYTES = 256 * 1024
MAX_TEXT_BYTES = 8 * 1024 * 1024
TEXT_S = 60.0
"""How long a small file may take in all."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a server may send, in how many attempts: it may bring something each time and never the whole.

    After each `space_check_bytes` it is checked whether the disk has still space for the rest.
    """

    max_bytes: int
    attempts: int = 100
    space_check_bytes: int = 16 * 1024 * 1024


class ProgressReporter(Protocol):
    """Is told how a long task proceeds, on the thread that began it."""

    def message(self, line: str) -> None:
        """A line worth keeping."""

    def progress(self, done: int, total: int | None) -> None:
        """Bytes so far, and in all if known."""


class ConnectionLost(SourceFailed):
    """The connection broke or went silent; what came so far is kept."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known about a `.part` file. `url`: without credentials, as it lies on the disk."""

    url: str
    total: int | None = None
    validator: str = ""


class PartFile:
    """A download in progress, and beside it what is known of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes = path.with_name(path.name + ".json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def progress(self, url: str) -> Progress:
        """What is known, if it is about this URL; otherwise the file starts again."""
        try:
            known = Progress(**json.loads(self.notes.read_text()))
        except (OSError, ValueError, TypeError, RecursionError):
            known = Progress("")
        new = Progress(without_credentials(url))
        if known.url == new.url:
            return known
        self.restart(new)
        return new

    def restart(self, progress: Progress) -> None:
        """Nothing so far. Raises NotEnoughSpace."""
        try:
            self.path.write_bytes(b"")
            self.notes.write_text(json.dumps(asdict(progress)))
        except OSError as error:
            raise NotEnoughSpace(f"{self.path}: {error.strerror or error}") from None

    def append(self, piece: bytes) -> None:
        """More of it. Raises NotEnoughSpace."""
        try:
            with self.path.open("ab", buffering=0) as file:
                file.write(piece)
        except OSError as error:
            raise NotEnoughSpace(f"{self.path}: {error.strerror or error}; what came so far is kept") from None

    def remove(self) -> None:
        """Both files."""
        self.path.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)


async def fetch(
    url: str,
    part: PartFile,
    report: ProgressReporter,
    *,
    require_space: Callable[[int], None],
    limits: Limits,
    open_session: Callable[[], aiohttp.ClientSession] | None = None,
) -> None:
    """The whole file into `part`, going on where it stopped.

    `require_space` is called with the bytes to come, at first and while they come, and may raise. A lost connection is
    followed by another attempt as long as attempts bring something. Raises SourceFailed, NotEnoughSpace.
    """
    fruitless = 0
    async with (open_session or session)() as http:
        for _ in range(limits.attempts):
            before = part.size
            try:
                await _attempt(http, url, part, report, require_space=require_space, limits=limits)
            except ConnectionLost as error:
                fruitless = fruitless + 1 if part.size <= before else 0
                if fruitless >= MAX_FRUITLESS:
                    raise
                report.message(f"{error}; asking for the rest")
            else:
                return
    raise SourceFailed(f"{_host(url)} has not sent the whole file in {limits.attempts} attempts")


async def fetch_text(url: str, *, etag: str = "") -> tuple[str, str] | None:
    """A small file and its ETag; None when it is still the one with that ETag. Raises SourceFailed."""
    headers = {"If-None-Match": etag} if etag else {}
    try:
        timeout = aiohttp.ClientTimeout(total=TEXT_S, sock_connect=CONNECT_S)
        async with session() as http, http.get(url, headers=headers, timeout=timeout) as response:
            if response.status == 304:
                return None
            _refuse_errors(response, url)
            body = b""
            while piece := await response.content.read(PIECE_BYTES):
                body += piece
                if len(body) > MAX_TEXT_BYTES:
                    raise SourceFailed(f"{_host(url)} sends too much")
            return body.decode("utf-8", "replace"), response.headers.get("ETag", "")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _connection_error(url, error) from None


def session() -> aiohttp.ClientSession:
    """Bytes as they are (a range of compressed bytes is of no use); proxies from the environment."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=STALL_S)
    headers = {"Accept-Encoding": "identity"}
    return aiohttp.ClientSession(timeout=timeout, headers=headers, auto_decompress=False, trust_env=True)


async def _attempt(
    http: aiohttp.ClientSession,
    url: str,
    part: PartFile,
    report: ProgressReporter,
    *,
    require_space: Callable[[int], None],
    limits: Limits,
) -> None:
    known = part.progress(url)
    start = part.size
    if known.total is not None and start == known.total:
        return
    headers = {"Range": f"bytes={start}-"} if start else {}
    if start and known.validator:
        headers["If-Range"] = known.validator
    try:
        async with http.get(url, headers=headers) as response:
            start, total = _begin(response, url, part, start=start, known=known)
            if (total or start) > limits.max_bytes:
                raise _too_much(url, part, total or start, limits.max_bytes)
            checked = start
            require_space((total or start) - start)
            report.progress(start, total)
            async for piece in response.content.iter_chunked(PIECE_BYTES):
                start += len(piece)
                if start > (total or limits.max_bytes):
                    raise _too_much(url, part, start, total or limits.max_bytes)
                part.append(piece)
                report.progress(start, total)
                if start - checked >= limits.space_check_bytes:
                    checked = start
                    require_space((total or start) - start)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _connection_error(url, error, at=start) from None
    if total is not None and start != total:
        raise ConnectionLost(f"{_host(url)} sent {start:,} of {total:,} bytes")


def _begin(
    response: aiohttp.ClientResponse, url: str, part: PartFile, *, start: int, known: Progress
) -> tuple[int, int | None]:
    """Where the answer begins and how long the file is; the part file is made to fit. Raises SourceFailed."""
    if response.status == 206:
        place, _, whole = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        total = int(whole) if whole.isascii() and whole.isdecimal() and len(whole) < MAX_NUMBER else None
        if place.startswith(f"{start}-") and known.total in (None, total):
            return start, total
    if response.status in (206, 416):
        part.restart(Progress(without_credentials(url)))
        raise ConnectionLost(f"{_host(url)} has another file now")
    _refuse_errors(response, url)
    etag = response.headers.get("ETag", "")
    validator = response.headers.get("Last-Modified", "") if not etag or etag.startswith("W/") else etag
    part.restart(Progress(without_credentials(url), response.content_length, validator))
    return 0, response.content_length


def _refuse_errors(response: aiohttp.ClientResponse, url: str) -> None:
    if urlsplit(url).scheme == "https" and response.url.scheme != "https":
        raise SourceFailed(f"{_host(url)} leads away from https, to {response.url.host}: not followed")
    if response.status != 200:
        raise SourceFailed(f"{response.url.host} answered {response.status} {response.reason}")


def _too_much(url: str, part: PartFile, size: int, most: int) -> SourceFailed:
    """Nothing of it is kept: it is not the file that was asked for."""
    part.remove()
    return SourceFailed(
        f"{_host(url)} sends {size:,} bytes and more, where {most:,} are the most there can be: stopped"
    )


def _connection_error(url: str, error: Exception, *, at: int = 0) -> SourceFailed:
    if isinstance(error, aiohttp.ClientConnectorError):
        return SourceFailed(f"{_host(url)} cannot be reached ({error.strerror or error})")
    if isinstance(error, (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, aiohttp.TooManyRedirects)):
        return SourceFailed(f"{without_credentials(url)} leads nowhere ({without_credentials(str(error))})")
    why = "went silent" if isinstance(error, TimeoutError) else "broke"
    return ConnectionLost(f"the connection to {_host(url)} {why}" + (f" at {at:,} bytes" if at else ""))


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
