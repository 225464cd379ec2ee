"""Where a server is reached: its port, and that of the metrics if they have one of their own."""

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from transcriber.calls.pending_sockets import PendingSockets
from transcriber.errors import ConfigError
from transcriber.runtime.background import run_in_background
from transcriber.settings.definition import Settings
from transcriber.settings.host_address import url_of
from transcriber.web.app import create_app, create_metrics_app
from transcriber.web.services import Services
from transcriber.web.transport.certificate import Certificate
from transcriber.web.transport.client_address import networks
from transcriber.web.transport.connections import Connections
from transcriber.web.transport.limited_site import LimitedSite

MAX_UNCONFIRMED_MS = 60_000
BEGIN_S = 2.0
"""What was accepted last on a shared port may take so long to begin."""
QUIET_S = 0.2
"""After so long without a connection that has not begun, none is on its way."""
LIBRARIES = ("asyncio", "aiohttp.server", "aiohttp.web", "aiohttp.websocket", "aiohttp.internal")
"""Loggers that write what strangers cause."""


@dataclass(frozen=True, slots=True)
class ListeningSockets:
    """Sockets that accept nobody yet. `metrics` None: the metrics are served with everything else."""

    api: socket.socket
    metrics: socket.socket | None


def bind(settings: Settings, stack: AsyncExitStack) -> ListeningSockets:
    """The sockets, to be taken first: a port in use is reported before anything is loaded. Raises ConfigError."""
    api = stack.enter_context(closing(_bind(settings.host, settings.port, shared=settings.reuse_port)))
    if not settings.metrics_address:
        return ListeningSockets(api, None)
    address = urlsplit(f"//{settings.metrics_address}")
    return ListeningSockets(api, stack.enter_context(closing(_bind(address.hostname or "", address.port or 0))))


@dataclass(frozen=True, slots=True)
class Listener:
    """What accepts on HOST and PORT."""

    site: LimitedSite
    connections: Connections
    pending_sockets: PendingSockets
    report: Callable[[str], None]

    async def leave(self) -> None:
        """Leave a shared port to the others. Returns when all that was accepted has begun, after BEGIN_S at most."""
        await self.site.leave()
        self.report("stopping: left the port to the other servers on it")
        loop = asyncio.get_running_loop()
        began = quiet_since = loop.time()
        while (now := loop.time()) - began < BEGIN_S and now - quiet_since < QUIET_S:
            if self.connections.awaiting_head or self.pending_sockets.sockets:
                quiet_since = now
            await asyncio.sleep(QUIET_S / 10)


async def serve_http(
    services: Services,
    sockets: ListeningSockets,
    certificate: Certificate | None,
    stack: AsyncExitStack,
    report: Callable[[str], None],
) -> Listener:
    """Accept connections from now on, until the stack ends or the listener leaves."""
    log_limiter = services.log_limiter
    stack.enter_context(log_limiter.limit_loggers(*LIBRARIES))
    run_in_background(stack, log_limiter.watch(), name="telling what the log leaves out")
    connections = Connections(services.metrics, services.client_limits, log_limiter=log_limiter)
    run_in_background(stack, connections.watch(), name="cutting overdue connections")
    if certificate is not None:
        run_in_background(stack, certificate.watch(), name="looking at the certificate")
        services.metrics.certificate_expiry.set_function(lambda: certificate.expiry_s)
    proxies = networks(services.settings.trusted_proxies)
    runner = await _set_up(create_app(services), stack)
    context = certificate.context if certificate else None
    site = LimitedSite(connections, runner, proxies=proxies, sock=sockets.api, ssl_context=context)
    await site.start()
    if sockets.metrics is not None:
        runner = await _set_up(create_metrics_app(services), stack)
        await LimitedSite(connections, runner, proxies=proxies, sock=sockets.metrics).start()
        report(f"metrics: on {url_of('http', *sockets.metrics.getsockname()[:2])}/metrics")
    return Listener(site, connections, services.sessions.admission.pending, report)


async def _set_up(app: web.Application, stack: AsyncExitStack) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner


def _bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = _bind_shared(host, port, family) if shared else socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        if shared and error.errno == errno.EADDRINUSE:
            reason += " by a program that does not share it; every server on it needs TRANSCRIBER_REUSE_PORT=1"
        raise ConfigError(f"cannot listen on {host} port {port}: {reason}") from None
    # Connections inherit it: a peer that has not confirmed a byte for so long is gone, whatever it looks like.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, MAX_UNCONFIRMED_MS)
    return bound


def _bind_shared(host: str, port: int, family: socket.AddressFamily) -> socket.socket:
    """It listens only when the server is ready: until then the others of the port get all connections."""
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:  # as `create_server` does
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound
