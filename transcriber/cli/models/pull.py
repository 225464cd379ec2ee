"""`transcriber models pull`: downloads a model, compares it with its checksum and installs it."""

import argparse

from transcriber import catalog
from transcriber.catalog import pull
from transcriber.catalog.entries import Entry
from transcriber.catalog.model_folder import ModelFolder
from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.models.shared import ProgressDisplay, add_flags, catalogue_of, default_of, megabytes, settings_of
from transcriber.cli.terminal_text import printable
from transcriber.errors import ModelError
from transcriber.settings.definition import Settings

TERMS = {
    "NC": "not for commercial use",
    "AGPL": "whoever offers it over a network shares the source",
    "GPL": "copyleft",
}


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "pull",
        run=run,
        summary="download a model, compare it with its checksum and install it",
        examples="""
            transcriber models pull en
            transcriber models pull vosk-model-en-us-0.22-lgraph
            TRANSCRIBER_MODEL_MIRROR=http://files.example.net/vosk transcriber models pull small-de-0.15
        """,
    )
    parser.add_argument("name", metavar="NAME", help="a model, or a language: its first small model")
    parser.add_argument("--force", action="store_true", help="also when it is installed already")
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Pull it. Raises ModelError, ConfigError."""
    settings = settings_of(args)
    with ProgressDisplay() as display:
        entry = catalogue_of(settings, display).resolve(args.name)
        here = next((folder for folder in catalog.installed(settings.models_home) if folder.name == entry.name), None)
        if here and not args.force and _is_whole(here, display):
            print(f"{entry.name} is already installed in {here.path}; --force pulls it again")
            return 0
        for line in _terms(entry):
            display.message(line)
        try:
            folder = pull.pull(entry, settings.models_home, display, mirror=settings.model_mirror)
        except KeyboardInterrupt:
            display.message("interrupted; what came so far is kept: the same command goes on from there")
            raise
    for line in installed_lines(folder, settings):
        print(line)
    return 0


def _is_whole(folder: ModelFolder, display: ProgressDisplay) -> bool:
    try:
        folder.check()
    except ModelError as error:
        display.message(f"{error}: pulling it again")
        return False
    return True


def _terms(entry: Entry) -> list[str]:
    kinds = [what for mark, what in TERMS.items() if mark in entry.licence.replace("-", " ").split()]
    licence = entry.licence or "not stated in the list; see https://alphacephei.com/vosk/models"
    size = megabytes(entry.size) or "of unknown size"
    lines = [
        f"{entry.name}: language {entry.language}, {size}",
        f"licence: {licence}{''.join(f' ({k})' for k in kinds)}",
    ]
    return [*lines, f"note: {entry.note}"] if entry.note else lines


def installed_lines(folder: ModelFolder, settings: Settings) -> list[str]:
    """What a user wants to know of a model just installed."""
    installed = f"installed {folder.name} in {folder.path} ({megabytes(folder.size_bytes)}, {folder.band} band)"
    if default_of(settings) == folder.name:
        return [
            printable(installed),
            "a server uses it by default from its next start, a running one for new calls after SIGHUP",
        ]
    return [printable(installed), printable(f"use it with: transcriber serve --model {folder.name}")]
