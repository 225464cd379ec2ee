"""Where a server is reached: its port, and that of the metrics if they have one of their own."""

import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

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
LIBRARIES = ("asyncio", "aiohttp.server", "aiohttp.web", "aiohttp.websocket", "aiohttp.internal")
"""Loggers that write what strangers cause."""


@dataclass(frozen=True, slots=True)
class ListeningSockets:
    """Sockets that listen and accept nobody yet. `metrics` None: the metrics are served with everything else."""

    api: socket.socket
    metrics: socket.socket | None


def bind(settings: Settings, stack: AsyncExitStack) -> ListeningSockets:
    """The sockets, to be taken first: a port in use is reported before anything is loaded. Raises ConfigError."""
    api = stack.enter_context(closing(_bind(settings.host, settings.port)))
    if not settings.metrics_address:
        return ListeningSockets(api, None)
    address = urlsplit(f"//{settings.metrics_address}")
    return ListeningSockets(api, stack.enter_context(closing(_bind(address.hostname or "", address.port or 0))))


async def serve_http(
    services: Services,
    sockets: ListeningSockets,
    certificate: Certificate | None,
    stack: AsyncExitStack,
    report: Callable[[str], None],
) -> None:
    """Accept connections from now on, until the stack ends."""
    log_limiter = services.log_limiter
    stack.enter_context(log_limiter.limit_loggers(*LIBRARIES))
    run_in_background(stack, log_limiter.watch(), name="telling what the log leaves out")
    connections = Connections(services.metrics, services.client_limits, log_limiter=log_limiter)
    run_in_background(stack, connections.watch(), name="cutting overdue connections")
    if certificate is not None:
        run_in_background(stack, certificate.watch(), name="looking at the certificate")
    proxies = networks(services.settings.trusted_proxies)
    runner = await _set_up(create_app(services), stack)
    context = certificate.context if certificate else None
    await LimitedSite(connections, runner, proxies=proxies, sock=sockets.api, ssl_context=context).start()
    if sockets.metrics is not None:
        runner = await _set_up(create_metrics_app(services), stack)
        await LimitedSite(connections, runner, proxies=proxies, sock=sockets.metrics).start()
        report(f"metrics: on {url_of('http', *sockets.metrics.getsockname()[:2])}/metrics")


async def _set_up(app: web.Application, stack: AsyncExitStack) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner


def _bind(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"cannot listen on {host} port {port}: {reason}") from None
    # Connections inherit it: a peer that has not confirmed a byte for so long is gone, whatever it looks like.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, MAX_UNCONFIRMED_MS)
    return bound
