"""The answer to a reader of Server-Sent Events, frame by frame. One that takes nothing is cut by `connections`."""

import re
from collections.abc import Sequence

from aiohttp import web

from transcriber.web.services import SERVICES
from transcriber.web.sse.resume import PADDING

_NAME = re.compile(r"[\w.-]+")
_LINE_END = re.compile(r"[\r\n]")
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}


class SseResponse:
    """One answer that is being sent. Every method raises ConnectionError when the reader left or was cut."""

    def __init__(self, request: web.Request) -> None:
        self.response = web.StreamResponse(headers=HEADERS)
        self._request = request

    async def open(self, *, padded: bool) -> None:
        """Begin the answer, with a comment that fills the first buffers if that is wanted."""
        await self.response.prepare(self._request)
        retry_s = self._request.app[SERVICES].sse_retry_s
        retry = f"retry: {round(retry_s * 1000)}\n\n".encode()
        await self.response.write(PADDING + retry if padded else retry)

    async def heartbeat(self) -> None:
        """A comment, so that proxies keep the connection and a reader who left is noticed."""
        await self.response.write(b": \n\n")

    async def comment(self, text: str) -> None:
        """A comment for people who look at the wire; programs pass over it. One line."""
        await self.response.write(f": {text}\n\n".encode())

    async def send(self, text: str, *, kind: object, seq: int | None = None) -> None:
        """One event."""
        await self.response.write(frame(text, kind=kind, seq=seq))

    async def send_frames(self, frames: Sequence[bytes]) -> None:
        """Several events, as `frame` made them."""
        if joined := b"".join(frames):
            await self.response.write(joined)


def frame(text: str, *, kind: object, seq: int | None = None) -> bytes:
    """One event on the wire. Line ends inside JSON are only layout, and would end the field."""
    number = "" if seq is None else f"id: {seq}\n"
    name = kind if isinstance(kind, str) and _NAME.fullmatch(kind) else "message"
    return f"{number}event: {name}\ndata: {_LINE_END.sub(' ', text)}\n\n".encode()
