"""`transcriber models`: the models that are here and those that can be had.

One file a sub-command (`pull.py` …), each with an `add` like a command of its own, listed in SUBCOMMANDS.
"""

import argparse

from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.models import compile_graph, import_model, info, list_models, pull, rm, verify

SUBCOMMANDS = (list_models, pull, compile_graph, import_model, info, verify, rm)


def add(subparsers: Subparsers) -> None:
    """Declare the command and its sub-commands."""
    parser = add_command(
        subparsers,
        "models",
        run=run,
        summary="list, pull, compile, import, describe, verify and remove models",
        examples="""
            transcriber models list
            transcriber models pull en
            transcriber models compile vosk-model-small-en-us-0.15
            transcriber models verify
        """,
    )
    nested = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in SUBCOMMANDS:
        command.add(nested)


def run(args: argparse.Namespace) -> int:
    """Never reached: a sub-command is demanded."""
    args.usage_error("a command is needed")
    return 2
