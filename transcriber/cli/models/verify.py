"""`transcriber models verify`: are the installed models still what was installed."""

import argparse
import asyncio

from transcriber import catalog
from transcriber.catalog import manifest, validation
from transcriber.catalog.model_folder import ModelFolder, home_of
from transcriber.catalog.trial import Trials
from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.models.shared import add_flags, catalogue_of, find_installed, settings_of
from transcriber.cli.terminal_text import printable
from transcriber.errors import ModelError


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "verify",
        run=run,
        summary="compare installed models with what was installed; exit status 1 when one is damaged",
        examples="""
            transcriber models verify
            transcriber models verify vosk-model-small-en-us-0.15 --load
        """,
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="a model or a language (default: all that are here)")
    parser.add_argument("--load", action="store_true", help="also load each in a process of its own: time and memory")
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """A verdict a model; 1 when one is damaged. Raises UnknownModel, ConfigError."""
    settings = settings_of(args)
    if args.name:
        folders = [find_installed(args.name, settings, catalogue_of(settings))]
    else:
        folders = catalog.installed(settings.data_dir)
    trials = Trials(home_of(settings.data_dir)) if args.load else None
    wrong = 0
    for folder in folders:
        try:
            print(f"ok     {folder.name}: {printable(verdict(folder, trials))}")
        except ModelError as error:
            wrong += 1
            print(f"WRONG  {folder.name}: {printable(str(error))}")
    return 1 if wrong else 0


def verdict(folder: ModelFolder, trials: Trials | None = None) -> str:
    """What speaks for it: compared with its manifest, looked at, tried. Raises ModelError with what does not."""
    known = manifest.read(folder.path)
    if known and (damage := list(known.damage(folder.path))):
        raise ModelError(f"{'; '.join(damage)}: `transcriber models pull {folder.name} --force` brings it back")
    folder.check()
    compared = f"{len(known.files)} files as they were installed" if known else "whole (no manifest to compare it with)"
    parts = [compared, *validation.warnings(folder.path)]
    if trials is not None:
        trial = asyncio.run(trials.try_out(folder))
        parts.append(f"loads in {trial.load_s:.1f} s, {trial.peak_mb:,.0f} MB of memory with one recognizer")
    return "; ".join(parts)
