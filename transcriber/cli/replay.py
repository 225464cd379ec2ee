"""`transcriber replay`: dials a server as Twilio does, plays a recording, shows the transcript as it comes."""

import argparse
import asyncio
from pathlib import Path

from transcriber.audio import sample_calls
from transcriber.audio.wav import read_recording
from transcriber.cli import call_player
from transcriber.cli.arguments import count, parameter, speed
from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.http_client import Server, add_flags, find_server
from transcriber.settings.definition import Settings
from transcriber.telephony.simulator import Target

INTERRUPTED = 130


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "replay",
        run=run,
        summary="play a recording to a server, exactly as Twilio would, and show the transcript",
        examples="""
            transcriber replay                              the bundled sample call, to this machine's server
            transcriber replay call.wav                     stereo: left = inbound (caller), right = outbound (agent)
            transcriber replay caller.wav agent.wav         one mono file for each side
            transcriber replay call.wav --speed 0 --json    as fast as the server takes it, every event a JSON line
            transcriber replay 02_dental_appointment --calls 20 --url https://media.example.net
        """,
    )
    parser.add_argument("file", nargs="*", metavar="FILE", help="wav file(s), or a bundled sample call's name")
    parser.add_argument("--list", action="store_true", help="list the bundled sample calls")
    parser.add_argument("--speed", type=speed, default=1.0, metavar="N", help="times real time; 0 = no waiting")
    parser.add_argument("--calls", type=count, default=1, metavar="N", help="so many calls at once")
    parser.add_argument("--json", action="store_true", help="print every event as one line of JSON")
    parser.add_argument(
        "--param",
        type=parameter,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="custom parameter(s)",
    )
    add_flags(parser, key_flag=True)


def run(args: argparse.Namespace) -> int:
    """Play and show. Raises TranscriberError."""
    if args.list:
        print("\n".join(sample_calls.names()))
        return 0
    if len(args.file) > 2:
        args.usage_error("at most two files: the inbound side, the outbound side")
    server, settings = find_server(args)
    paths = [_path(name) for name in args.file or [sample_calls.DEFAULT]]
    playback = call_player.Playback(
        target=target_of(server, settings),
        server=server,
        recording=read_recording(*paths),
        reference=sample_calls.reference(paths[0]) or (),
        speed=args.speed,
        calls=args.calls,
        parameters=dict(args.param),
        as_json=args.json,
    )
    return INTERRUPTED if asyncio.run(call_player.play(playback)) else 0


def target_of(server: Server, settings: Settings) -> Target:
    """What to dial: signed with the settings' first token, as Twilio would.

    Over the public address for the settings' own server, and over the address that is dialled for any other: such a
    signature is of no use at ours.
    """
    return Target(
        url=server.url,
        fingerprint=server.fingerprint,
        authority=server.authority,
        auth_token=next(iter(settings.twilio_auth_token), None),
        public_url=settings.public_url if server.ours and settings.public_url else None,
        api_key=server.api_key,
    )


def _path(name: str) -> Path:
    path = Path(name)
    return path if path.exists() or path.suffix else sample_calls.path(name)
