"""Accepts TLS. asyncio's own server reports a connection after its handshake; until then it would not count."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable

from transcriber.web.transport import connections
from transcriber.web.transport.client_address import Networks, limit_key, parsed
from transcriber.web.transport.connections import Connections

PAUSE_S = 0.1
"""After the system could not accept one; there is a log line for it."""

log = logging.getLogger(__name__)


class Handshake:
    """A connection before its handshake is over, as the registry sees it."""

    def __init__(self, limit_key: str) -> None:
        self.limit_key = limit_key
        self.is_cut = False
        self.task: asyncio.Task[None] | None = None

    def cut(self) -> None:
        """End it now."""
        self.is_cut = True
        if self.task is not None:
            self.task.cancel()


class TlsListener:
    """Serves TLS on a listening socket from its making on. `make` gets a handshake and gives what follows it."""

    def __init__(
        self,
        listening: socket.socket,
        context: ssl.SSLContext,
        make: Callable[[Handshake], asyncio.Protocol],
        *,
        registry: Connections,
        proxies: Networks,
    ) -> None:
        self._listening = listening
        self._context = context
        self._make = make
        self._registry = registry
        self._proxies = proxies
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()
        listening.setblocking(False)
        listening.listen(connections.BACKLOG)
        self._resume()

    def close(self) -> None:
        """Accept no more, and shake no more hands; connections live on."""
        for task in self._handshakes:
            task.cancel()
        self._stop_listening()

    def leave(self) -> None:
        """Accept no more than what waits; handshakes live on."""
        while self._accept():
            pass
        self._stop_listening()

    def _resume(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening, self._accept)

    def _stop_listening(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.remove_reader(self._listening)
            self._listening.close()

    def _accept(self) -> bool:
        """Whether there was a connection."""
        try:
            accepted, peer = self._listening.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            self._registry.could_not_accept(error)
            self._loop.remove_reader(self._listening)
            self._loop.call_later(PAUSE_S, self._resume)
            return False
        handshake = Handshake(limit_key(parsed(str(peer[0])), self._proxies))
        self._registry.add(handshake)
        if handshake.is_cut:
            accepted.close()
            return True
        handshake.task = asyncio.create_task(self._handshake(accepted, handshake))
        self._handshakes.add(handshake.task)
        handshake.task.add_done_callback(self._handshakes.discard)
        return True

    async def _handshake(self, accepted: socket.socket, handshake: Handshake) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._make(handshake),
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=self._registry.limits.handshake_s,
                ssl_shutdown_timeout=self._registry.limits.handshake_s,
            )
        except OSError as error:  # ssl's and timeouts are of it
            self._registry.failed_handshake(handshake, getattr(error, "reason", None) or type(error).__name__)
        finally:
            self._registry.remove(handshake)
