"""`transcriber models`: the models on this machine; each of its commands has its own file."""

import argparse

from transcriber import __version__
from transcriber.cli import models_compile
from transcriber.cli.parsing import Subparsers


def add(subparsers: Subparsers) -> None:
    """Declare the command and its own commands."""
    summary = "the models on this machine"
    parser = subparsers.add_parser(
        "models",
        help=summary,
        description=f"{summary[:1].upper()}{summary[1:]}.",
        epilog="examples:\n  transcriber models compile vosk-model-small-en-us-0.15",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"transcriber {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    models_compile.add(commands)
