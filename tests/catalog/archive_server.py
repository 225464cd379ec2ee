"""A server of model archives as one meets them: honest, cutting, forgetful, changing its mind."""

import asyncio
import hashlib
import io
import zipfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from transcriber import catalog

NAME = "vosk-model-small-xx-0.1"
JUNK = bytes(range(256)) * 256
FLOOD_BYTES = 512 * 1024**2
"""Where even an endless answer of a test ends."""


def zipped(members: Iterable[tuple[str | zipfile.ZipInfo, bytes]]) -> bytes:
    """A zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def parts_of_demo() -> list[tuple[str, bytes]]:
    """The demo model's files, by their path in it."""
    folder = catalog.find("en-demo", Path("/nowhere")).path
    files = sorted(file for file in folder.rglob("*") if file.is_file() and "static" not in file.parts)
    return [(str(file.relative_to(folder)), file.read_bytes()) for file in files]


def model_zip(name: str = NAME) -> bytes:
    """A whole model in its folder, as the official archives are."""
    return zipped((f"{name}/{part}", data) for part, data in parts_of_demo())


@dataclass
class ArchiveServer:
    """Serves `files` by path. `requests`: (path, Range header) of what was asked.

    `cuts`: after how many bytes each coming answer breaks off; `ranges`: whether a Range is honoured; `etag`: whether
    answers carry one. With `stall_after` an archive stops after so many bytes, sets `stalled`, waits for `unstall`.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    etag: bool = True
    requests: list[tuple[str, str]] = field(default_factory=list)
    on_request: Callable[[str], None] = lambda _: None
    endless: set[str] = field(default_factory=set)
    """Paths that begin as their file does and never end, of a length that nobody says."""
    sent: int = 0
    """Bytes of the endless ones."""
    stall_after: int = 0
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    unstall: asyncio.Event = field(default_factory=asyncio.Event)

    def app(self) -> web.Application:
        """The server's application."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        return app

    def row(self, name: str, url: str, **other: Any) -> dict[str, Any]:
        """A row of model-list.json about a file of ours."""
        data = self.files[f"{name}.zip"]
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        row = {"name": name, "lang": "xx", "lang_text": "Test", "md5": md5, "size": len(data), "size_text": "4MiB"}
        return row | {"type": "small", "url": url, "version": "0.1", "obsolete": "false"} | other

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path, wanted = request.match_info["path"], request.headers.get("Range", "")
        self.requests.append((path, wanted))
        self.on_request(path)
        if path in self.endless:
            return await self._flood(request)
        if path not in self.files:
            raise web.HTTPNotFound
        data = self.files[path]
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        headers = {"ETag": tag} if self.etag else {}
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        start, status = 0, 200
        if wanted and self.ranges and request.headers.get("If-Range", tag) == tag:
            start, status = int(wanted.removeprefix("bytes=").removesuffix("-")), 206
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        response = web.StreamResponse(status=status, headers=headers)
        if path.endswith("/"):
            response.content_type = "text/html"
        response.content_length = len(data) - start
        await response.prepare(request)
        if self.stall_after and path.endswith(".zip"):
            await response.write(data[start : self.stall_after])
            self.stalled.set()
            await self.unstall.wait()
            return response
        if self.cuts:
            await response.write(data[start : start + self.cuts.pop(0)])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(data[start:])
        return response

    async def _flood(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        with suppress(ConnectionError):
            while self.sent < FLOOD_BYTES:
                await response.write(JUNK)
                self.sent += len(JUNK)
        return response
