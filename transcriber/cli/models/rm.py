"""`transcriber models rm`: removes pulled models."""

import argparse

from transcriber.catalog import install
from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.models.shared import add_flags, catalogue_of, find_installed, megabytes, settings_of


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "rm",
        run=run,
        summary="remove a pulled model; a server that runs with it goes on until it is restarted",
        examples="""
            transcriber models rm vosk-model-small-en-us-0.15
        """,
    )
    parser.add_argument("name", metavar="NAME", help="an installed model, or the language of its catalogue entry")
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Remove it. Raises ModelError, ConfigError."""
    settings = settings_of(args)
    folder = find_installed(args.name, settings, catalogue_of(settings))
    size = folder.size_bytes
    install.remove(folder.name, settings.models_home)
    print(f"removed {folder.name} ({megabytes(size)}); a running server keeps it in memory until it is restarted")
    return 0
