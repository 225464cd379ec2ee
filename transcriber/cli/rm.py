"""`transcriber rm`: deletes calls."""

import argparse
import asyncio
from collections.abc import Sequence

from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.http_client import Connection, Server, add_flags, call_path, find_server
from transcriber.cli.terminal_text import print_status, printable
from transcriber.errors import CallIsLive, CallNotFound


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "rm",
        run=run,
        summary="delete calls for good: transcript, events and summary",
        examples="""
            transcriber rm CA11111111111111111111111111111111
            transcriber calls --status interrupted --json | jq -r .call_sid | xargs transcriber rm
        """,
    )
    parser.add_argument("call_sid", metavar="CALL_SID", nargs="+", help="call(s) to delete; a live one is refused")
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Delete each; 1 when one was not there or is live. Raises TranscriberError for a server that fails."""
    server, _ = find_server(args)
    return asyncio.run(_delete(server, args.call_sid))


async def _delete(server: Server, call_sids: Sequence[str]) -> int:
    status = 0
    async with Connection(server) as api:
        for call_sid in call_sids:
            try:
                await api.delete(call_path(call_sid))
            except (CallNotFound, CallIsLive) as error:
                print_status(f"{call_sid}: {error}")
                status = 1
            else:
                print(f"deleted {printable(call_sid)}")
    return status
