"""`transcriber models info`: everything known about one model."""

import argparse
from pathlib import Path

from transcriber import catalog
from transcriber.catalog import manifest, pull, validation
from transcriber.catalog.entries import Entry
from transcriber.catalog.model_folder import ModelFolder
from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.models.shared import add_flags, catalogue_of, default_of, find_installed, megabytes, settings_of
from transcriber.cli.terminal_text import printable
from transcriber.errors import ModelError, UnknownModel
from transcriber.settings.definition import Settings


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "info",
        run=run,
        summary="show everything known about a model",
        examples="""
            transcriber models info en-demo
            transcriber models info vosk-model-en-us-0.22
        """,
    )
    parser.add_argument("name", metavar="NAME", help="a model, installed or in the catalogue, or a language")
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Print it. Raises UnknownModel, ConfigError."""
    settings = settings_of(args)
    catalogue = catalogue_of(settings)
    try:
        folder = find_installed(args.name, settings, catalogue)
    except UnknownModel:
        rows = _catalogue_rows(catalogue.resolve(args.name), settings)
    else:
        rows = _installed_rows(folder, catalogue.find(folder.name), settings)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {printable(value)}")
    return 0


def _catalogue_rows(entry: Entry, settings: Settings) -> list[tuple[str, str]]:
    return [
        ("model", entry.name),
        ("installed", f"no: transcriber models pull {entry.name}"),
        ("language", entry.language),
        ("kind", entry.kind),
        ("archive", megabytes(entry.size) or "of unknown size"),
        entry.checksum or ("md5", "unknown until the official list is asked"),
        ("licence", entry.licence or "not stated in the list"),
        ("band", entry.band or "not stated"),
        *_note(entry.note),
        *(("source", source) for source in pull.sources_of(entry, settings.model_mirror)),
    ]


def _installed_rows(folder: ModelFolder, entry: Entry | None, settings: Settings) -> list[tuple[str, str]]:
    known = manifest.read(folder.path)
    origin = known.origin if known else None
    bundled = folder.name == catalog.DEMO
    rows = [
        ("model", folder.name),
        ("installed", str(folder.path)),
        ("default", "yes" if default_of(settings) in (folder.name, str(folder.path)) else "no"),
        ("state", _state(folder)),
        ("language", folder.language),
        ("band", folder.band),
        ("licence", "Apache-2.0" if bundled else (origin and origin.licence) or (entry and entry.licence) or "unknown"),
        *_note((origin and origin.note) or (entry.note if entry else "")),
        ("source", "part of Transcriber" if bundled else origin.source if origin else "unknown: not installed by us"),
        *([("compared with", origin.checked or "nothing: no checksum was known")] if origin else []),
        *([("installed at", origin.installed_at)] if origin else []),
        ("on disk", megabytes(folder.size_bytes)),
        ("memory", f"transcriber models verify {folder.name} --load measures it"),
    ]
    files = sorted(file for file in folder.path.rglob("*") if file.is_file() and file.name != manifest.FILE)
    return rows + [("file", f"{megabytes(file.stat().st_size):>9}  {_below(file, folder)}") for file in files]


def _state(folder: ModelFolder) -> str:
    try:
        folder.check()
    except ModelError as error:
        return f"BROKEN: {error}"
    return "; ".join(["whole", *validation.warnings(folder.path)])


def _note(note: str | None) -> list[tuple[str, str]]:
    return [("note", note)] if note else []


def _below(file: Path, folder: ModelFolder) -> str:
    return str(file.relative_to(folder.path))
