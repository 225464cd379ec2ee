"""The server's connections: how far each is, and which one goes when there are too many or one is overdue.

What is overdue by the `ClientLimits` is cut. When there are too many, in all or of one address, that connection makes
room of which least is lost: one between two requests, else one that owes a head, else one that owes a body; the oldest
of its kind.
"""

import asyncio
import logging
from collections import Counter
from itertools import islice
from typing import Protocol

from transcriber.observability.log_rate_limit import LogRateLimiter
from transcriber.observability.metrics import Metrics
from transcriber.web.limits.client_limits import ClientLimits

IDLE_S = 75.0
"""Between two requests; above what proxies keep their idle connections."""
LINGERING_S = 2.0
BACKLOG = 512
ADDRESS_SHARE = 4
"""One address gets so many-th of all connections."""
MAX_EXAMINED = 100
"""Of the connections that wait, when one of a certain address is looked for."""

log = logging.getLogger(__name__)


class TrackedConnection(Protocol):
    """A connection, as the registry sees it. `limit_key`: whom it counts for; empty: nobody in particular."""

    limit_key: str

    def cut(self) -> None:
        """End it now."""


class Connections:
    """All of a server. Belongs to the event loop's thread; `watch` must run."""

    def __init__(self, metrics: Metrics, limits: ClientLimits, *, log_limiter: LogRateLimiter) -> None:
        self.limits = limits
        self._most_per_address = max(1, limits.connections // ADDRESS_SHARE)
        self._log_limiter = log_limiter
        self._metrics = metrics
        self._all: set[TrackedConnection] = set()
        self._of_key: Counter[str] = Counter()
        # In the order of time. A connection is in one of the first three, or a request of it is being answered.
        self._idle: dict[TrackedConnection, float] = {}
        self._awaiting_head: dict[TrackedConnection, float] = {}
        self._awaiting_body: dict[TrackedConnection, float] = {}
        self._write_blocked: dict[TrackedConnection, float] = {}
        self._loop = asyncio.get_running_loop()

    @property
    def awaiting_head(self) -> int:
        """How many have not sent a whole head of a request that they owe."""
        return len(self._awaiting_head)

    def add(self, connection: TrackedConnection) -> None:
        """A new one, which owes a head."""
        self._all.add(connection)
        self._of_key[connection.limit_key] += 1
        if connection.limit_key and self._of_key[connection.limit_key] > max(
            1, self.limits.connections // ADDRESS_SHARE
        ):
            self._make_room(connection, of_key=True)
        elif len(self._all) > self.limits.connections:
            self._make_room(connection, of_key=False)
        if connection in self._all:
            self._awaiting_head[connection] = self._loop.time()

    def remove(self, connection: TrackedConnection) -> None:
        """It is gone."""
        if connection not in self._all:
            return
        self._all.discard(connection)
        self._of_key[connection.limit_key] -= 1
        if not self._of_key[connection.limit_key]:
            del self._of_key[connection.limit_key]
        for waiting in (self._idle, self._awaiting_head, self._awaiting_body, self._write_blocked):
            waiting.pop(connection, None)

    def head_begun(self, connection: TrackedConnection) -> None:
        """Part of a head is here."""
        self._idle.pop(connection, None)
        self._awaiting_head.setdefault(connection, self._loop.time())

    def head_received(self, connection: TrackedConnection, *, whole: bool) -> None:
        """All of it is here; with `whole` the body, too."""
        self._idle.pop(connection, None)
        self._awaiting_head.pop(connection, None)
        if not whole:
            self._awaiting_body[connection] = self._loop.time()

    def body_received(self, connection: TrackedConnection) -> None:
        """All of a request is here."""
        self._awaiting_body.pop(connection, None)

    def idle(self, connection: TrackedConnection) -> None:
        """Its request was answered, and it has begun no other one."""
        self._awaiting_body.pop(connection, None)
        if connection in self._all:
            self._idle[connection] = self._loop.time()

    def write_paused(self, connection: TrackedConnection) -> None:
        """Its buffers are full of what the other side does not read."""
        self._write_blocked.setdefault(connection, self._loop.time())

    def write_resumed(self, connection: TrackedConnection) -> None:
        """The other side reads again."""
        self._write_blocked.pop(connection, None)

    def refused(self, status: int, peer: str | None, why: str) -> None:
        """A request was refused that never became one."""
        self._metrics.refusals.labels(str(status)).inc()
        text = "refused what is no HTTP request from %s: %s"
        self._log_limiter.log(log, logging.INFO, "no HTTP", text, peer, why)

    def failed_handshake(self, connection: TrackedConnection, why: str) -> None:
        """Its TLS did not come about."""
        self.remove(connection)
        self._metrics.connections_cut.labels("handshake").inc()
        self._log_limiter.log(log, logging.INFO, "TLS handshake", "a TLS handshake failed: %s", why)

    def could_not_accept(self, error: OSError) -> None:
        """The system has no room for a connection."""
        self._log_limiter.log(log, logging.ERROR, "accepting", "a connection could not be accepted: %s", error)

    async def watch(self) -> None:
        """Cut what is overdue, as long as the server runs."""
        while True:
            await asyncio.sleep(self.limits.check_every_s)
            now = self._loop.time()
            for waiting, within_s, why in (
                (self._awaiting_head, self.limits.head_s, "no_request"),
                (self._write_blocked, self.limits.write_s, "not_read"),
            ):
                # In the order of time: the first that is not due ends the search.
                for connection, since in list(waiting.items()):
                    if now - since < within_s:
                        break
                    self._cut(connection, why)
                    if why == "not_read":
                        text = "cut a connection: it took nothing of its answer for %g s"
                        self._log_limiter.log(log, logging.INFO, "answer not read", text, within_s)
            self._metrics.connections.set(len(self._all))

    def _make_room(self, newcomer: TrackedConnection, *, of_key: bool) -> None:
        # Who connects to ask something sends it at once, and who was answered may come again: what is in the middle of
        # a request or a stream is not cut, and if all are, the newcomer is.
        limit_key = newcomer.limit_key if of_key else None
        text = "one address has all the connections it may have: %d" if of_key else "all %d connections are taken"
        limit = self._most_per_address if of_key else self.limits.connections
        self._log_limiter.log(log, logging.WARNING, f"connections {'of an address' if of_key else 'full'}", text, limit)
        for waiting in (self._idle, self._awaiting_head, self._awaiting_body):
            for connection in islice(waiting, MAX_EXAMINED):
                if limit_key is None or connection.limit_key == limit_key:
                    self._cut(connection, "address" if of_key else "full")
                    return
        self._cut(newcomer, "address" if of_key else "full")

    def _cut(self, connection: TrackedConnection, why: str) -> None:
        self.remove(connection)
        self._metrics.connections_cut.labels(why).inc()
        connection.cut()
