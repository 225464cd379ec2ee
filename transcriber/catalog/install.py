"""Installs a model, all or nothing, and removes one.

Work in progress lies in `models/.incoming/`, on the same disk, so that the last step is a rename.
"""

import asyncio
import errno
import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from transcriber.catalog import manifest
from transcriber.catalog.archive import Contents
from transcriber.catalog.download import ProgressReporter
from transcriber.catalog.entries import NAME
from transcriber.catalog.model_folder import DEMO, ModelFolder, describe, installed
from transcriber.catalog.trial import Trials
from transcriber.errors import ModelError, NotEnoughSpace, UnknownModel

INCOMING = ".incoming"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MARGIN_BYTES = 64 * 1024**2
"""Left free besides: logs, history and everybody else want to go on writing."""


@contextmanager
def lock_model(home: Path, name: str) -> Iterator[Path]:
    """The folder for work in progress, while no other process installs or removes that model. Raises ModelError."""
    if not NAME.fullmatch(name) or name == DEMO:
        raise ModelError(f"{name!r} cannot be a model's name: letters, digits, dots and dashes, and not {DEMO}")
    incoming = home / INCOMING
    try:
        incoming.mkdir(parents=True, exist_ok=True)
        lock = (incoming / f"{name}.lock").open("wb")
    except OSError as error:
        raise ModelError(f"{incoming} cannot be written: {error.strerror or error}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ModelError(f"another process is at work on {name}: wait until it is done") from None
        yield incoming


def require_space(folder: Path, size: int, *, what: str) -> None:
    """Raises NotEnoughSpace unless `size` bytes and a margin are free where `folder` lies."""
    needed, free = size + MARGIN_BYTES, shutil.disk_usage(folder).free
    if needed > free:
        raise NotEnoughSpace(f"{what} needs {needed / 1e6:,.0f} MB free in {folder}, there are {free / 1e6:,.0f} MB")


def unpacker(contents: Contents, incoming: Path, name: str, report: ProgressReporter) -> Callable[[Path], None]:
    """A function that unpacks an archive for `install`; it raises NotEnoughSpace when the disk fills meanwhile."""

    def require_rest(done: int) -> None:
        require_space(incoming, contents.size_bytes - done, what=f"{name}, unpacked,")

    def progress(done: int) -> None:
        report.progress(done, contents.size_bytes)
        require_rest(done)

    require_rest(0)
    return lambda folder: contents.unpack(folder, progress=progress)


def install(
    incoming: Path, name: str, *, fill: Callable[[Path], None], origin: manifest.Origin, source_label: str
) -> ModelFolder:
    """The model that `fill` writes into a folder, checked, summed up and moved to its place beside `incoming`.

    An installed one of that name is replaced. `source_label`: what errors call its source. Raises ModelError.
    """
    target, new, old = incoming.parent / name, incoming / f"{name}.new", incoming / f"{name}.old"
    try:
        for leftover in (new, old):
            _clear(leftover)
        new.mkdir()
        fill(new)
        _check(replace(describe(new), name=name), source_label, incoming.parent)
        manifest.write(new, replace(origin, installed_at=datetime.now(UTC).isoformat(timespec="seconds")))
        _swap(new, target, old)
    except OSError as error:
        kind = NotEnoughSpace if error.errno in FULL else ModelError
        raise kind(f"{source_label} cannot be installed: {error.strerror or error}") from None
    finally:
        _clear(new)
        _clear(old)
    return describe(target)


def _clear(path: Path) -> None:
    """Remove a folder, or a link to one."""
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _swap(new: Path, target: Path, old: Path) -> None:
    if not target.exists():
        new.rename(target)
        return
    target.rename(old)
    try:
        new.rename(target)
    except BaseException:
        old.rename(target)
        raise


def _check(folder: ModelFolder, source_label: str, home: Path) -> None:
    """Check its files, and let Vosk try it. Raises ModelError that names it as users know it."""
    try:
        folder.check()
        asyncio.run(Trials(home).ensure_tried(folder))
    except ModelError as error:
        message = str(error).replace(str(folder.path), source_label)
        raise ModelError(message.replace(folder.path.name, folder.name)) from None


def remove(name: str, home: Path) -> ModelFolder:
    """Delete a pulled model; a running server goes on with what it has in memory.

    Raises UnknownModel for one that is not installed, ModelError for one that did not come by `pull` or `import`.
    """
    folder = next((folder for folder in installed(home) if folder.name == name), None)
    if folder is None:
        raise UnknownModel(f"no model {name!r} is installed: `transcriber models list` shows them")
    if folder.path.parent != home:
        raise ModelError(f"{name} belongs to the installation ({folder.path}): only pulled models can be removed")
    with lock_model(home, name) as incoming:
        removed = incoming / f"{name}.old"
        try:
            _clear(removed)
            folder.path.rename(removed)
        except OSError as error:
            raise ModelError(f"{folder.path} cannot be removed: {error.strerror or error}") from None
        _clear(removed)
    return folder
