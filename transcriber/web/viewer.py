"""Who reads Server-Sent Events: written to frame by frame, and dropped when nothing is taken any more."""

import asyncio
import logging
import re

from aiohttp import web

from transcriber.web.services import SERVICES

RETRY_S = 1.0
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}

log = logging.getLogger(__name__)


class ViewerStuck(ConnectionError):
    """The reader took nothing for too long; its connection is gone, and it was logged and counted."""


class Viewer:
    """One answer under way. Every method raises ConnectionError when the reader left or was dropped."""

    def __init__(self, request: web.Request) -> None:
        self.response = web.StreamResponse(headers=HEADERS)
        self._request = request
        self._services = request.app[SERVICES]

    async def open(self) -> None:
        """Begin the answer."""
        await self.response.prepare(self._request)
        await self._write(f"retry: {round(RETRY_S * 1000)}\n\n".encode())

    async def beat(self) -> None:
        """A comment, so that proxies keep the connection and a reader who left is noticed."""
        await self._write(b": \n\n")

    async def send(self, text: str, *, kind: object, seq: int | None = None) -> None:
        """One event. Line ends inside JSON are only layout, and would end the field."""
        number = "" if seq is None else f"id: {seq}\n"
        name = kind if isinstance(kind, str) and re.fullmatch(r"[\w.-]+", kind) else "message"
        data = re.sub(r"[\r\n]", " ", text)
        await self._write(f"{number}event: {name}\ndata: {data}\n\n".encode())

    async def _write(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(self._services.viewer_patience_s):
                await self.response.write(data)
        except TimeoutError:
            self._services.metrics.viewers_dropped.inc()
            log.warning(
                "a reader of %s was dropped: it took nothing for %g s; it can come back with its Last-Event-ID",
                *(self._request.path, self._services.viewer_patience_s),
            )
            if self._request.transport is not None:
                self._request.transport.abort()
            raise ViewerStuck from None
