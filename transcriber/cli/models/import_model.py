"""`transcriber models import`: installs a model from a folder or an archive, for machines without a network."""

import argparse
from pathlib import Path

from transcriber import catalog
from transcriber.catalog import local_import
from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.models.pull import installed_lines
from transcriber.cli.models.shared import ProgressDisplay, add_flags, catalogue_of, settings_of
from transcriber.errors import ModelError


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "import",
        run=run,
        summary="install a model from a folder or a zip archive, without a network",
        examples="""
            transcriber models import vosk-model-small-en-us-0.15.zip
            transcriber models import /media/stick/vosk-model-de-0.21
            transcriber models import ./out --name vosk-model-de-ourwords
        """,
    )
    parser.add_argument("path", metavar="PATH", type=Path, help="a folder or a zip archive")
    parser.add_argument("--name", help="what it is to be called (default: as the folder or archive)")
    parser.add_argument("--force", action="store_true", help="also when one of that name is installed")
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Install it. Raises ModelError, ConfigError."""
    settings = settings_of(args)
    name = args.name or local_import.name_of(args.path)
    if not args.force and name in {folder.name for folder in catalog.installed(settings.models_home)}:
        raise ModelError(f"{name} is already installed: --force replaces it, --name gives this one another name")
    with ProgressDisplay() as display:
        catalogue = catalogue_of(settings)
        folder = local_import.import_model(args.path, name, settings.models_home, display, catalogue=catalogue)
    for line in installed_lines(folder, settings):
        print(line)
    return 0
