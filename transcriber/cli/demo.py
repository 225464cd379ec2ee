"""`transcriber demo`: a server of its own, one sample call, the captions, and everything gone again."""

import argparse
import asyncio
import os
import re
import signal
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from transcriber import sample_calls
from transcriber.caller import Target, read_recording
from transcriber.cli import playing
from transcriber.cli.connection import Server
from transcriber.cli.parsing import Subparsers, add_command
from transcriber.cli.replay import INTERRUPTED, speed
from transcriber.cli.terminal import printable
from transcriber.config import PREFIX
from transcriber.errors import ServerUnreachable, TranscriberError

READY = re.compile(r"transcriber: ready on (http://[^\s;,]+)")
READY_S = 90
STOP_S = 20
LAST_LINES = 20


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "demo",
        run=run,
        summary="start a server, play a sample call to it and show the captions; nothing is left behind",
        examples="""
            transcriber demo
            transcriber demo --call 02_dental_appointment
            transcriber demo --speed 4
        """,
    )
    parser.add_argument("--call", default=sample_calls.DEFAULT, choices=sample_calls.names(), help="which sample call")
    parser.add_argument("--speed", type=speed, default=1.0, metavar="N", help="times real time; 0 = no waiting")


def run(args: argparse.Namespace) -> int:
    """Play the demo. Raises TranscriberError, after the server's last lines on stderr."""
    path = sample_calls.path(args.call)
    recording, reference = read_recording(path), sample_calls.reference(path) or ()

    async def demo() -> bool:
        async with _server() as url:
            print(f"a server is up on {url}; playing {path.stem} to it", flush=True)
            return await playing.play(
                playing.Job(
                    target=Target(url=url),
                    server=Server(url),
                    recording=recording,
                    reference=reference,
                    speed=args.speed,
                )
            )

    return INTERRUPTED if asyncio.run(demo()) else 0


@asynccontextmanager
async def _server() -> AsyncIterator[str]:
    """A child server on a free port with an empty data directory; yields its address. Raises ServerUnreachable."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with tempfile.TemporaryDirectory(prefix="transcriber-") as folder:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "transcriber", "serve", "--port", "0", "--data-dir", folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the caller: the server must outlive the hang-up
        )
        log = _Log(child)
        failed = False
        try:
            yield await log.ready()
        except TranscriberError:
            failed = True
            raise
        finally:
            await _stop(child)
            await log.ended()
            if failed or child.returncode:
                print("\n".join(log.lines), file=sys.stderr)
    if child.returncode:
        raise ServerUnreachable(f"the server stopped with exit status {child.returncode}")


async def _stop(child: asyncio.subprocess.Process) -> None:
    """SIGTERM, and SIGKILL when that does not help; nothing for a child that has gone."""
    _signal(child, signal.SIGTERM)
    try:
        await asyncio.wait_for(child.wait(), STOP_S)
    except TimeoutError:
        _signal(child, signal.SIGKILL)
        await child.wait()


def _signal(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Not by the child's own method: that may reap it, and asyncio would then complain of a child it does not know."""
    if child.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(child.pid, number)


class _Log:
    """Reads the child's output all the time, so that it never blocks; keeps the last lines."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.lines: deque[str] = deque(maxlen=LAST_LINES)
        self._child = child
        self._url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read())

    async def ready(self) -> str:
        """The address the server says it listens on."""
        both: list[asyncio.Future[Any]] = [self._url, self._reader]
        await asyncio.wait(both, timeout=READY_S, return_when=asyncio.FIRST_COMPLETED)
        if self._url.done():
            return self._url.result()
        raise ServerUnreachable(
            "the server stopped before it was ready"
            if self._reader.done()
            else f"the server was not ready in {READY_S} s"
        )

    async def ended(self) -> None:
        """Wait until the child has written everything."""
        await self._reader

    async def _read(self) -> None:
        assert self._child.stdout is not None  # noqa: S101 - it was asked for
        async for raw in self._child.stdout:
            line = printable(raw.decode("utf-8", "replace").rstrip())
            self.lines.append(line)
            if (found := READY.search(line)) and not self._url.done():
                self._url.set_result(found[1])
