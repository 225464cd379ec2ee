"""`transcriber attach`: a stream on a live Twilio call, started by the server."""

import argparse
import asyncio
from typing import Any

from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.http_client import Connection, add_flags, call_path, find_server
from transcriber.cli.terminal_text import printable

TRACKS = ("both", "inbound", "outbound")


def add(subparsers: Subparsers) -> None:
    """Declare `attach`."""
    parser = add_command(
        subparsers,
        "attach",
        run=run,
        summary="start transcribing a call that is in progress at Twilio",
        examples="""
            transcriber attach CA0123456789abcdef0123456789abcdef
            transcriber attach CA0123456789abcdef0123456789abcdef --track inbound --param language=ko
        """,
    )
    parser.add_argument("call_sid", metavar="CALL_SID")
    parser.add_argument("--name", help="name of the stream within its call (default: transcriber)")
    parser.add_argument("--track", choices=TRACKS, default="both", help="which sides (default: both)")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="a custom parameter")
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the server. Raises TranscriberError."""
    pairs = [pair.partition("=") for pair in args.param]
    if any(not name or not sign for name, sign, _ in pairs):
        args.usage_error("--param must look like NAME=VALUE")
    body: dict[str, Any] = {"track": args.track, "parameters": {name: value for name, _, value in pairs}}
    if args.name:
        body["name"] = args.name
    answer = post(args, "attach", body)
    print(printable(f"{args.call_sid}: stream {answer.get('stream_sid')} was started"))
    return 0


def post(args: argparse.Namespace, verb: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask the server to attach or detach the call of the flags. Raises TranscriberError."""
    server, _ = find_server(args)

    async def ask() -> dict[str, Any]:
        async with Connection(server) as api:
            answer: dict[str, Any] = await api.post(call_path(args.call_sid, verb), body)
            return answer

    return asyncio.run(ask())
