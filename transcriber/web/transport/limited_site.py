"""An aiohttp site whose connections report their progress to the registry of connections."""

import asyncio
from contextlib import suppress
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import StreamReader

from transcriber.web.api.errors import error_response
from transcriber.web.middleware import HEADERS
from transcriber.web.transport import connections, shared_port
from transcriber.web.transport.client_address import Networks, limit_key, parsed
from transcriber.web.transport.connections import Connections
from transcriber.web.transport.tls_handshakes import Handshake, TlsListener


class Connection(web.RequestHandler):
    """A connection as aiohttp serves it, which reports its progress to the registry."""

    __slots__ = ("_body", "_handshake", "_proxies", "_registry", "_transport", "limit_key")

    def __init__(
        self,
        registry: Connections,
        proxies: Networks,
        server: web.Server,
        handshake: Handshake | None,
        **options: Any,
    ) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._handshake = handshake
        self.limit_key = ""
        self._registry = registry
        self._proxies = proxies
        self._transport: asyncio.Transport | None = None
        self._body: StreamReader | None = None
        """Of the newest request, while it is not all here."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's."""
        self._transport = cast("asyncio.Transport", transport)
        super().connection_made(transport)
        peer = (transport.get_extra_info("peername") or ("",))[0]
        self.limit_key = limit_key(parsed(peer), self._proxies)
        if self._handshake is not None:
            self._registry.remove(self._handshake)
            self._handshake = None
        self._registry.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Asyncio's."""
        super().connection_lost(exc)
        self._registry.remove(self)

    def data_received(self, data: bytes) -> None:
        """Asyncio's. aiohttp waits with `_waiter` when no request is being answered, and counts whole heads."""
        if self._upgraded:
            super().data_received(data)
            return
        heads, idle = self._request_count, self._waiter is not None
        super().data_received(data)
        if self._request_count > heads:
            body = self._messages[-1][1] if self._messages else None
            self._body = None if body is None or body.is_eof() else body
            self._registry.head_received(self, whole=self._body is None)
        elif idle:
            self._registry.head_begun(self)
        elif self._body is not None and self._body.is_eof():
            self._body = None
            self._registry.body_received(self)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """aiohttp's: the answer is out, or cannot go out."""
        finished = await super().finish_response(request, resp, start_time)
        if not self._messages:
            self._registry.idle(self)
        return finished

    def pause_writing(self) -> None:
        """Asyncio's."""
        super().pause_writing()
        self._registry.write_paused(self)

    def resume_writing(self) -> None:
        """Asyncio's."""
        super().resume_writing()
        self._registry.write_resumed(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """aiohttp's, for what could not be read as HTTP: it would log and answer the bytes, which may be a key."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        self._registry.refused(status, request.remote, type(exc).__name__)
        text = (
            "the request line or a header is too long"
            if isinstance(exc, LineTooLong)
            else "this is not well-formed HTTP"
        )
        response = error_response(status, text, headers=HEADERS)
        response.force_close()
        return response

    def cut(self) -> None:
        """End it now; what was not taken is thrown away."""
        if self._transport is not None:
            self._transport.abort()


class LimitedSite(web.SockSite):
    """aiohttp's, whose connections are those of the registry."""

    __slots__ = ("_make", "_proxies", "_registry", "_tls")

    def __init__(self, registry: Connections, runner: web.AppRunner, *, proxies: Networks = (), **more: Any) -> None:
        super().__init__(runner, backlog=connections.BACKLOG, **more)
        self._tls: TlsListener | None = None
        self._registry = registry
        self._proxies = proxies

    async def start(self) -> None:
        """Accept from now on."""
        await web.BaseSite.start(self)
        server = self._runner.server
        if server is None:
            raise RuntimeError("the runner is not set up")
        # No known client compresses its bodies; one that did could make them very large.
        options = {"access_log": None, "keepalive_timeout": connections.IDLE_S}
        options |= {"auto_decompress": False, "lingering_time": connections.LINGERING_S}

        def make(handshake: Handshake | None = None) -> Connection:
            return Connection(self._registry, self._proxies, server, handshake, **options)

        if self._ssl_context is not None:
            self._tls = TlsListener(self._sock, self._ssl_context, make, registry=self._registry, proxies=self._proxies)
            return
        self._make = make
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(make, sock=self._sock, backlog=self._backlog)

    async def leave(self) -> None:
        """Accept no more on a port that others share; what has begun to connect is accepted. Then `stop` as usual."""
        shared_port.ignore_newcomers(self._sock)
        await asyncio.sleep(shared_port.SETTLE_S)
        if self._tls is not None:
            self._tls.leave()
            return
        waiting = []
        with suppress(OSError):  # there are no more
            while True:
                waiting.append(self._sock.accept()[0])
        if self._server is not None:
            self._server.close()
        loop = asyncio.get_running_loop()
        for accepted in waiting:
            await loop.connect_accepted_socket(self._make, accepted)

    async def stop(self) -> None:
        """Accept no more."""
        if self._tls is not None:
            self._tls.close()
        await super().stop()
