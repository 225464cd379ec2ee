"""The server as a process: it serves until a signal ends it, and has the limits that many connections need."""

import asyncio
import gc
import resource
import signal
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack

from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.runtime import service_manager
from transcriber.runtime.background import run_in_background
from transcriber.server.server import Server, running
from transcriber.settings.definition import Settings

MAX_FILES = 65_536


async def serve_until_signalled(
    settings: Settings,
    *,
    greeting: Callable[[Server], Iterable[str]],
    report: Callable[[str], None],
    model_process: ModelProcess | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT (a second one hurries); SIGHUP renews certificate and model.

    `report` is told, line by line, what happens at the start and the end, and the `greeting` once calls are accepted.
    `model_process`: as `running` takes it. Raises ConfigError, ModelError, StoreError.
    """
    _allow_many_files()
    stop, reload = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    serving = asyncio.current_task()

    def stop_early() -> None:
        stop.set()
        if serving is not None:
            serving.cancel()

    _on_stop_signals(stop_early)
    try:
        async with running(settings, model_process=model_process, report=report) as server, AsyncExitStack() as stack:
            _on_stop_signals(lambda: _stop(stop, server, report))
            for line in greeting(server):
                report(line)
            run_in_background(stack, _reload_on(reload, server), name="heeding SIGHUP")
            _keep_start_out_of_collections()
            service_manager.ready(f"on {server.url}")
            await stop.wait()
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
        return
    report("stopped")


def _on_stop_signals(handler: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, handler)


def _stop(stop: asyncio.Event, server: Server, report: Callable[[str], None]) -> None:
    if stop.is_set():
        server.sessions.skip_drain()
        return
    stop.set()
    live = server.sessions.live_streams
    service_manager.stopping(f"{live} live streams")
    if live:
        report(f"stopping: {live} live streams may go on for {server.settings.drain_s} s; a second signal hurries")


async def _reload_on(requested: asyncio.Event, server: Server) -> None:
    while await requested.wait():
        requested.clear()
        service_manager.reloading()
        if server.certificate is not None:
            server.certificate.refresh()
        await server.recognition.change_model()
        service_manager.ready(f"on {server.url}")


def _allow_many_files() -> None:
    """A connection is a file; what systems allow at first (often 1024) is for programs with few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _keep_start_out_of_collections() -> None:
    """Freeze what the start has made, so that the garbage collector does not look through it again.

    It stays for good, and a collection of everything old holds the loop for tens of milliseconds.
    """
    gc.collect()
    gc.freeze()
