"""What every `models` command shares: the flags for where models live, the catalogue, and how sizes and models read."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from transcriber import catalog
from transcriber.catalog import entries, official_list
from transcriber.catalog.download import ProgressReporter
from transcriber.catalog.entries import Catalogue
from transcriber.catalog.model_folder import ModelFolder
from transcriber.cli.http_client import add_config_flag
from transcriber.cli.terminal_text import draws, printable
from transcriber.errors import UnknownModel
from transcriber.observability.url_credentials import without_credentials
from transcriber.settings.definition import Settings, load_settings

if TYPE_CHECKING:
    from transcriber.cli.rich_terminal.progress import DownloadBar


def add_flags(parser: argparse.ArgumentParser) -> None:
    """`--models-dir`, `--data-dir` and `--config`."""
    parser.add_argument("--models-dir", type=Path, metavar="FOLDER", help="where pulled models live")
    parser.add_argument(
        "--data-dir", type=Path, metavar="FOLDER", help="whose models/ that is where no MODELS_DIR is set"
    )
    add_config_flag(parser)


def settings_of(args: argparse.Namespace) -> Settings:
    """The settings, with the flags. Raises ConfigError."""
    given = {"models_dir": args.models_dir, "data_dir": args.data_dir}
    flags = {name: str(folder) for name, folder in given.items() if folder}
    return load_settings(config=args.config, flags=flags).settings


def catalogue_of(settings: Settings, report: ProgressReporter | None = None) -> Catalogue:
    """Ours and the official list: as it is now if there is a `report`, else as it was last fetched."""
    home, url = settings.models_home, settings.model_list_url
    listed = official_list.refreshed(home, url, report) if report else official_list.cached(home, url)
    return entries.load().merged_with(listed)


def default_of(settings: Settings) -> str:
    """The name of the model a server would load; empty when there is none."""
    if settings.model:
        return settings.model
    found = catalog.installed(settings.models_home)
    return found[0].name if found else ""


def find_installed(wanted: str, settings: Settings, catalogue: Catalogue) -> ModelFolder:
    """An installed model by its name, or by what the catalogue makes of the words. Raises UnknownModel."""
    here = {folder.name: folder for folder in catalog.installed(settings.models_home)}
    if wanted in here:
        return here[wanted]
    try:
        name = catalogue.resolve(wanted).name
    except UnknownModel:
        raise UnknownModel(f"no model {wanted!r} is installed (installed: {', '.join(here) or 'none'})") from None
    if name in here:
        return here[name]
    raise UnknownModel(f"{name} is not installed: `transcriber models pull {name}` gets it")


def megabytes(size: int) -> str:
    """`86.9 MB`, `1.8 GB`; empty for an unknown size."""
    if not size:
        return ""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


class ProgressDisplay:
    """Lines on stderr, and below them a progress bar if stderr is a terminal; a line for each tenth without rich.

    A `ProgressReporter`.
    """

    def __init__(self) -> None:
        self._bar: DownloadBar | None = None
        self._tenths = 0

    def __enter__(self) -> "ProgressDisplay":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def message(self, line: str) -> None:
        """A line; it ends the bar."""
        self._end()
        print(printable(without_credentials(line)), file=sys.stderr, flush=True)

    def progress(self, done: int, total: int | None) -> None:
        """Move the bar."""
        if not sys.stderr.isatty():
            return
        if not draws(sys.stderr):
            self._count(done, total)
            return
        if self._bar is None:
            from transcriber.cli.rich_terminal.progress import DownloadBar

            self._bar = DownloadBar()
        self._bar.update(done, total)

    def _count(self, done: int, total: int | None) -> None:
        tenths = 10 * done // total if total else 0
        if tenths > self._tenths:
            print(f"{megabytes(done)} of {megabytes(total or 0)}", file=sys.stderr, flush=True)
        self._tenths = tenths

    def _end(self) -> None:
        self._tenths = 0
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
