"""The server's connections: how many there may be, and what they must do in time. aiohttp bounds neither.

A request's head must be here HEAD_WITHIN_S after its first byte (the first one: after connecting), an answer must find
a taker within TAKEN_WITHIN_S. When all places are taken, the connection that has owed a head longest makes room.
"""

import asyncio
import logging
import resource
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from transcriber.log_budget import LogBudget
from transcriber.metrics import Metrics
from transcriber.web.middleware import HEADERS
from transcriber.web.refusal import error_response

HEAD_WITHIN_S = 5.0
TAKEN_WITHIN_S = 30.0
IDLE_S = 75.0
"""Between two requests; above what proxies keep their idle connections."""
HANDSHAKE_WITHIN_S = 5.0
LINGERING_S = 2.0
BACKLOG = 512
RESERVED_FILES = 256
"""For everything but connections: Redis, models, logs."""
LOOK_EVERY_S = 0.5

log = logging.getLogger(__name__)


def most_connections() -> int:
    """As many as the process may have files open, less a reserve."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(files - RESERVED_FILES, files // 2)


class Connections:
    """All of a server. Belongs to the event loop's thread; `watch` must run."""

    def __init__(self, metrics: Metrics, *, most: int, log_budget: LogBudget) -> None:
        self._most = most
        self._log_budget = log_budget
        self._metrics = metrics
        self._all: set[Connection] = set()
        self._owing: dict[Connection, float] = {}
        self._untaken: dict[Connection, float] = {}
        self._loop = asyncio.get_running_loop()

    def enter(self, connection: "Connection") -> None:
        """A new one, which owes a head."""
        self._all.add(connection)
        self._owing[connection] = self._loop.time()
        if len(self._all) > self._most:
            self._make_room()

    def leave(self, connection: "Connection") -> None:
        """It is gone."""
        self._all.discard(connection)
        self._owing.pop(connection, None)
        self._untaken.pop(connection, None)

    def owes_head(self, connection: "Connection") -> None:
        """Part of a head is here."""
        self._owing.setdefault(connection, self._loop.time())

    def has_head(self, connection: "Connection") -> None:
        """The whole of it is."""
        self._owing.pop(connection, None)

    def waits_for_taker(self, connection: "Connection") -> None:
        """Its buffers are full of what the other side does not read."""
        self._untaken.setdefault(connection, self._loop.time())

    def found_taker(self, connection: "Connection") -> None:
        """The other side reads again."""
        self._untaken.pop(connection, None)

    def refused(self, status: int, peer: str | None, why: str) -> None:
        """A request was refused that never became one."""
        self._metrics.refusals.labels(str(status)).inc()
        said = "refused what is no HTTP request from %s: %s"
        self._log_budget.log(log, logging.INFO, "no HTTP", said, peer, why)

    async def watch(self) -> None:
        """Cut what is overdue, as long as the server runs."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = self._loop.time()
            for waiting, within_s, why in (
                (self._owing, HEAD_WITHIN_S, "no_request"),
                (self._untaken, TAKEN_WITHIN_S, "not_read"),
            ):
                # In the order of time: the first that is not due ends the search.
                for connection, since in list(waiting.items()):
                    if now - since < within_s:
                        break
                    self._cut(connection, why)
                    if why == "not_read":
                        said = "cut a connection: it took nothing of its answer for %g s"
                        self._log_budget.log(log, logging.INFO, "answer not read", said, within_s)
            self._metrics.connections.set(len(self._all))

    def _make_room(self) -> None:
        # Who connects to ask something sends it at once, so the oldest that has not is the least likely to be a caller.
        self._cut(next(iter(self._owing)), "full")
        said = "all %d connections are taken; those that have sent no request are cut first"
        self._log_budget.log(log, logging.WARNING, "connections full", said, self._most)

    def _cut(self, connection: "Connection", why: str) -> None:
        self.leave(connection)
        self._metrics.connections_cut.labels(why).inc()
        connection.cut()


class Connection(web.RequestHandler):
    """One, as aiohttp serves it, that tells the registry how far it is."""

    __slots__ = ("_connections", "_transport")

    def __init__(self, connections: Connections, server: web.Server, **options: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._connections = connections
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's."""
        self._transport = cast("asyncio.Transport", transport)
        super().connection_made(transport)
        self._connections.enter(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Asyncio's."""
        super().connection_lost(exc)
        self._connections.leave(self)

    def data_received(self, data: bytes) -> None:
        """Asyncio's. aiohttp waits with `_waiter` when no request is being answered, and counts whole heads."""
        heads, idle = self._request_count, self._waiter is not None
        super().data_received(data)
        if self._request_count > heads:
            self._connections.has_head(self)
        elif idle:
            self._connections.owes_head(self)

    def pause_writing(self) -> None:
        """Asyncio's."""
        super().pause_writing()
        self._connections.waits_for_taker(self)

    def resume_writing(self) -> None:
        """Asyncio's."""
        super().resume_writing()
        self._connections.found_taker(self)

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
        self._connections.refused(status, request.remote, type(exc).__name__)
        said = (
            "the request line or a header is too long"
            if isinstance(exc, LineTooLong)
            else "this is not well-formed HTTP"
        )
        response = error_response(status, said, headers=HEADERS)
        response.force_close()
        return response

    def cut(self) -> None:
        """End it now; what was not taken is thrown away."""
        if self._transport is not None:
            self._transport.abort()


class BoundedSite(web.SockSite):
    """aiohttp's, whose connections are those of the registry."""

    __slots__ = ("_connections",)

    def __init__(self, connections: Connections, runner: web.AppRunner, **more: Any) -> None:
        super().__init__(runner, backlog=BACKLOG, **more)
        self._connections = connections

    async def start(self) -> None:
        """Accept from now on."""
        await web.BaseSite.start(self)
        server = self._runner.server
        if server is None:
            raise RuntimeError("the runner is not set up")
        # Nobody sends us compressed bodies but to see what they become.
        options = {"access_log": None, "keepalive_timeout": IDLE_S, "lingering_time": LINGERING_S}
        options["auto_decompress"] = False
        timeout_s = HANDSHAKE_WITHIN_S if self._ssl_context else None
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._connections, server, **options),
            sock=self._sock,
            ssl=self._ssl_context,
            backlog=self._backlog,
            ssl_handshake_timeout=timeout_s,
            ssl_shutdown_timeout=timeout_s,
        )
