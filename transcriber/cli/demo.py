"""`transcriber demo`: a server of its own, one sample call, the captions, and everything gone again."""

import argparse
import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from transcriber.audio import sample_calls
from transcriber.audio.wav import read_recording
from transcriber.cli import call_player
from transcriber.cli.arguments import speed
from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.http_client import Server
from transcriber.cli.replay import INTERRUPTED
from transcriber.cli.terminal_text import printable
from transcriber.errors import ServerUnreachable, TranscriberError
from transcriber.runtime import child_process
from transcriber.settings.sources import PREFIX
from transcriber.telephony.simulator import Target

READY = re.compile(r"transcriber: ready on (http://[^\s;,]+)")
READY_S = 90


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
            return await call_player.play(
                call_player.Playback(
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
        command = (sys.executable, "-m", "transcriber", "serve", "--port", "0", "--data-dir", folder)
        failed, server = False, None
        try:
            async with child_process.running(command, environment=environment) as server:
                try:
                    yield (await server.wait_for_line(READY, within_s=READY_S))[1]
                except TranscriberError:
                    failed = True
                    raise
        finally:
            if server is not None and (failed or server.exit_status):
                print("\n".join(map(printable, server.last_lines)), file=sys.stderr)
    if server.exit_status:
        raise ServerUnreachable(f"the server stopped with exit status {server.exit_status}")
