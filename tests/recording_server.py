"""A server for tests of the simulator and the command line: it records what comes and answers as it is told."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web


@dataclass(slots=True)
class RecordingServer:
    """Takes calls on /v1/media, keeps every message in `received`, and serves `events` as server-sent events."""

    refuse_with: tuple[int, dict[str, Any]] | None = None
    close_code: int = WSCloseCode.OK
    close_at_start: bool = False
    events: Sequence[Any] = ()
    break_after_event: int | None = None
    received: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    resumed_from: list[str] = field(default_factory=list)
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def app(self) -> web.Application:
        """The application to serve."""
        app = web.Application()
        app.router.add_get("/v1/media", self._media)
        app.router.add_get("/v1/calls/{call_sid}/events", self._events)
        app.router.add_route("*", "/{rest:.*}", self._answer)
        return app

    def of_kind(self, event: str) -> list[dict[str, Any]]:
        """The messages of that kind, in order of arrival."""
        return [message for message in self.received if message["event"] == event]

    async def _media(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        if self.refuse_with is not None:
            status, body = self.refuse_with
            return web.json_response(body, status=status)
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                self.received.append(json.loads(message.data))
                if self.close_at_start or self.received[-1]["event"] == "stop":
                    await socket.close(code=self.close_code, message=b"as the test wishes")
        self.ended.set()
        return socket

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """The events as server-sent events once a call has started; the connection breaks after `break_after`."""
        if not self.of_kind("start"):
            return web.json_response({"error": {"code": "not_found", "message": "no such call"}}, status=404)
        last = request.headers.get("Last-Event-ID", "")
        self.resumed_from.append(last)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": hello\n\n")
        for number, event in enumerate(self.events, 1):
            if number <= int(last or 0):
                continue
            if event == {"type": "call.ended"}:
                await self.ended.wait()
            await response.write(f"id: {number}\ndata: {json.dumps(event)}\n\n".encode())
            if number == self.break_after_event and not last:
                break
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests.append((f"{request.method} {request.path}", dict(request.query)))
        status, body = self.answers.get(f"{request.method} {request.path}", (404, {"error": {"message": "not there"}}))
        return (
            web.Response(text=body, status=status) if isinstance(body, str) else web.json_response(body, status=status)
        )


def final(text: str, *, track: str = "inbound", start_ms: int = 0, speaker: str | None = None) -> dict[str, Any]:
    """A final as the server sends it."""
    speaker = speaker or {"inbound": "caller", "outbound": "agent"}[track]
    return {"type": "final", "call_sid": "CA1", "stream_sid": "MZ1", "track": track, "speaker": speaker} | {
        "text": text,
        "start_ms": start_ms,
    }
