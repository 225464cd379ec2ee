"""`transcriber models list`: what is here and what can be had."""

import argparse
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from transcriber import catalog
from transcriber.catalog import manifest
from transcriber.catalog.entries import Catalogue, Entry
from transcriber.catalog.model_folder import ModelFolder
from transcriber.cli.command import Subparsers, add_command
from transcriber.cli.models.shared import (
    ProgressDisplay,
    add_flags,
    catalogue_of,
    default_of,
    megabytes,
    settings_of,
)
from transcriber.cli.table import Table
from transcriber.cli.table_display import print_table
from transcriber.cli.terminal_text import json_line, printable
from transcriber.settings.definition import Settings

COLUMNS = ("model", "language", "size", "band", "licence", "here")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A model, installed (`path`) or not. `size`: bytes on disk, or of the archive; empty and 0: unknown."""

    name: str
    language: str
    kind: str
    size: int
    band: str
    licence: str
    installed: bool
    default: bool
    path: str


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "list",
        run=run,
        summary="list the models that are here and those that can be had",
        examples="""
            transcriber models list
            transcriber models list en
            transcriber models list --installed --json
        """,
    )
    parser.add_argument("language", metavar="LANGUAGE", nargs="?", help="only models of this language (en, en-us)")
    parser.add_argument("--installed", action="store_true", help="only those that are here")
    parser.add_argument("--refresh", action="store_true", help="ask for the official list first")
    parser.add_argument("--json", action="store_true", help="print every model as one line of JSON")
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Print the models. Raises TranscriberError."""
    settings = settings_of(args)
    with ProgressDisplay() as display:
        catalogue = catalogue_of(settings, display if args.refresh else None)
    rows = [row for row in rows_of(settings, catalogue) if _is_wanted(row, args)]
    if args.json:
        for row in rows:
            print(json_line(asdict(row)))
    elif rows:
        print_table(_table(rows))
    else:
        print("no models")
    return 0


def rows_of(settings: Settings, catalogue: Catalogue) -> list[Row]:
    """Installed ones first, then the rest of the catalogue."""
    default = default_of(settings)
    here = catalog.installed(settings.models_home)
    names = {folder.name for folder in here}
    rows = [_installed_row(folder, catalogue.find(folder.name), default) for folder in here]
    return rows + [_catalogue_row(entry) for entry in catalogue.entries if entry.name not in names]


def _installed_row(folder: ModelFolder, entry: Entry | None, default: str) -> Row:
    known = manifest.read(folder.path)
    licence = known.origin.licence if known else entry.licence if entry else ""
    return Row(
        name=folder.name,
        language=folder.language,
        kind=entry.kind if entry else "",
        size=folder.size_bytes,
        band=folder.band,
        licence="Apache-2.0" if folder.name == catalog.DEMO else licence,
        installed=True,
        default=default == folder.name or Path(default).expanduser() == folder.path,
        path=str(folder.path),
    )


def _catalogue_row(entry: Entry) -> Row:
    return Row(
        name=entry.name,
        language=entry.language,
        kind=entry.kind,
        size=entry.size,
        band=entry.band or "",
        licence=entry.licence,
        installed=False,
        default=False,
        path="",
    )


def _is_wanted(row: Row, args: argparse.Namespace) -> bool:
    language = (args.language or "").lower()
    spoken = not language or language in (row.language, row.language.partition("-")[0])
    return spoken and (row.installed or not args.installed)


def _table(rows: Iterable[Row]) -> Table:
    return Table(
        columns=COLUMNS,
        rows=[list(map(printable, _cells(row))) for row in rows],
        right=("size",),
        wrapping=COLUMNS,
        colours={"here": {"default": "green", "installed": "green"}},
    )


def _cells(row: Row) -> tuple[str, ...]:
    state = "default" if row.default else "installed" if row.installed else ""
    return row.name, row.language, megabytes(row.size), row.band, row.licence or "not stated", state
