"""`transcriber show`: one call's transcript, in any of the server's formats."""

import argparse
import asyncio
import sys

from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.http_client import Connection, Server, add_flags, call_path, find_server
from transcriber.cli.terminal_text import printable

FORMATS = ("txt", "json", "vtt", "srt", "csv")


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "show",
        run=run,
        summary="print a call's transcript, both sides in one conversation",
        examples="""
            transcriber show CA11111111111111111111111111111111
            transcriber show CA11111111111111111111111111111111 --format vtt > call.vtt
        """,
    )
    parser.add_argument("call_sid", metavar="CALL_SID", help="as `transcriber calls` lists it")
    parser.add_argument("--format", choices=FORMATS, default="txt", help="default: txt")
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Print the transcript: to a terminal without control characters, to a file exactly. Raises TranscriberError."""
    server, _ = find_server(args)
    text = asyncio.run(_fetch(server, args.call_sid, args.format))
    if sys.stdout.isatty():
        text = "".join(f"{printable(line)}\n" for line in text.splitlines())
    elif text and not text.endswith("\n"):
        text += "\n"
    sys.stdout.write(text)
    return 0


async def _fetch(server: Server, call_sid: str, form: str) -> str:
    async with Connection(server) as api:
        return await api.text(call_path(call_sid, "transcript"), params={"format": form})
