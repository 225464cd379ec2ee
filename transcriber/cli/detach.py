"""`transcriber detach`: stops a stream on a live Twilio call; the call itself goes on."""

import argparse

from transcriber.cli.attach import post
from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.http_client import add_flags
from transcriber.cli.terminal_text import printable


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "detach",
        run=run,
        summary="stop transcribing a call that goes on at Twilio",
        examples="""
            transcriber detach CA0123456789abcdef0123456789abcdef
        """,
    )
    parser.add_argument("call_sid", metavar="CALL_SID")
    parser.add_argument("--name", help="name or sid of the stream (default: transcriber)")
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the server. Raises TranscriberError."""
    answer = post(args, "detach", {"name": args.name} if args.name else {})
    print(printable(f"{args.call_sid}: stream {answer.get('stream_sid')} was stopped"))
    return 0
