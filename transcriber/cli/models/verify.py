"""`transcriber models verify`: are the installed models still what was installed."""

import argparse
import asyncio
from functools import partial

from transcriber import catalog
from transcriber.catalog import manifest, validation
from transcriber.catalog.model_folder import ModelFolder
from transcriber.catalog.trial import Trials
from transcriber.cli.check_report import print_checks
from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.models.shared import add_flags, catalogue_of, find_installed, settings_of
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
    """Print a line for each model; 1 when one is damaged. Raises UnknownModel, ConfigError."""
    settings = settings_of(args)
    if args.name:
        folders = [find_installed(args.name, settings, catalogue_of(settings))]
    else:
        folders = catalog.installed(settings.models_home)
    trials = Trials(*settings.model_homes) if args.load else None
    return print_checks((folder.name, partial(verdict, folder, trials)) for folder in folders)


def verdict(folder: ModelFolder, trials: Trials | None = None) -> str:
    """Compare it with its manifest, check it, and with `trials` try it: what was found. Raises ModelError."""
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
