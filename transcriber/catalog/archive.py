"""Unpacking a model's zip archive (an official one, or a wheel), which may be hostile.

Refused whole, before anything is written: names that leave the folder (absolute, `..`, drives), links and other special
files, encryption, too many files, and more bytes than a model can have or than such an archive can honestly hold.
"""

import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from transcriber.catalog.static_graph import STATIC
from transcriber.catalog.vosk_layout import FLAT, NESTED
from transcriber.errors import ModelError

GIB = 1024**3
MAX_FILES = 5_000
MAX_UNPACKED_BYTES = 32 * GIB
MAX_RATIO, SMALL_BYTES = 50, 64 * 1024**2
"""Models shrink to a half or a third. Up to SMALL_BYTES the ratio does not count."""
READ_BYTES = 1024 * 1024
PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
MAX_INDEX_BYTES = 4 * 1024**2
"""Bytes of the list at an archive's end: some 800 for each of MAX_FILES."""
INDEX_END, END_BYTES, COMMENT_BYTES = b"PK\5\6", 22, 1 << 16
LARGE, LARGE_BYTES = 0xFFFFFFFF, 76
"""What marks a Zip64 archive, and how far before the plain end record its own lies."""
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OverflowError, NotImplementedError, struct.error)


@dataclass(frozen=True, slots=True)
class Contents:
    """The members below the archive's one model folder, by their path in it; `size`: bytes when unpacked."""

    archive: Path
    members: Sequence[tuple[PurePosixPath, zipfile.ZipInfo]]

    @property
    def size_bytes(self) -> int:
        return sum(info.file_size for _, info in self.members)

    def unpack(self, folder: Path, *, progress: Callable[[int], None] = lambda _: None) -> None:
        """Write everything below `folder`, flushed to the disk; `progress` is called with the bytes so far.

        Raises ModelError for damaged data, OSError when the disk is full.
        """
        done = 0
        try:
            with zipfile.ZipFile(self.archive) as opened:
                for path, info in self.members:
                    target = folder / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with opened.open(info) as packed, target.open("xb") as file:
                        while piece := packed.read(READ_BYTES):
                            file.write(piece)
                            done += len(piece)
                            progress(done)
                        file.flush()
                        os.fsync(file.fileno())
        except DAMAGED as error:
            raise ModelError(f"{self.archive.name} is damaged: {error}") from None


def inspect(archive: Path) -> Contents:
    """What an archive holds. Raises ModelError for one that is no zip, hostile, or holds not exactly one model."""
    try:
        _refuse_long_index(archive)
        with zipfile.ZipFile(archive) as opened:
            infos = [info for info in opened.infolist() if not info.is_dir()]
    except DAMAGED as error:
        raise ModelError(f"{archive.name} is not a zip archive, or a damaged one: {error}") from None
    except OSError as error:
        raise ModelError(f"{archive} cannot be read: {error.strerror or error}") from None
    paths = [_safe_path(info, archive) for info in infos]
    size = sum(info.file_size for info in infos)
    if len(infos) > MAX_FILES or size > MAX_UNPACKED_BYTES:
        raise ModelError(f"{archive.name} is no model: {len(infos):,} files, {size / 1e9:.1f} GB unpacked")
    if size > max(SMALL_BYTES, MAX_RATIO * archive.stat().st_size):
        raise ModelError(f"{archive.name} is a bomb: {archive.stat().st_size:,} bytes that unpack to {size:,}")
    if len({str(path).casefold() for path in paths}) < len(paths):
        raise ModelError(f"{archive.name} is hostile: it holds a file twice")
    root = _root(paths, archive)
    members = [(path.relative_to(root), info) for path, info in zip(paths, infos, strict=True) if _is_in(path, root)]
    return Contents(archive, members)


def _refuse_long_index(archive: Path) -> None:
    """The list of members is read into memory as a whole. Raises ModelError, OSError."""
    with archive.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LARGE_BYTES - END_BYTES - COMMENT_BYTES))
        tail = file.read()
    plain = tail[-END_BYTES:].startswith(INDEX_END) and tail.endswith(b"\0\0")
    at = len(tail) - END_BYTES if plain else tail.rfind(INDEX_END)
    index = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if index == LARGE:
        large = max(0, at - LARGE_BYTES)
        index = int.from_bytes(tail[large + 40 : large + 48], "little")
    if index > MAX_INDEX_BYTES:
        raise ModelError(f"{archive.name} is no model: {index:,} bytes are the list of its files alone")


def _safe_path(info: zipfile.ZipInfo, archive: Path) -> PurePosixPath:
    name = info.orig_filename
    path = PurePosixPath(name)
    kind = stat.S_IFMT(info.external_attr >> 16)
    wrong = (
        "leaves its folder" if path.is_absolute() or ".." in path.parts else "",
        "has a name of another system" if "\\" in name or ":" in name or "\0" in name else "",
        "is a link or a special file" if kind not in (0, stat.S_IFREG) else "",
        "is encrypted" if info.flag_bits & 1 else "",
        "is packed in a way that no model is" if info.compress_type not in PLAIN else "",
    )
    for what in filter(None, wrong):
        raise ModelError(f"{archive.name} is hostile: {name!r} {what}")
    return path


def _root(paths: Sequence[PurePosixPath], archive: Path) -> PurePosixPath:
    """The one folder that holds a model."""
    known = set(paths)
    roots = {path.parents[1] for path in known if path.match(NESTED.acoustic_model)}
    roots |= {path.parent for path in known if path.name == FLAT.acoustic_model and path.parent.name != "am"}
    # A compiled model carries a static one inside it.
    roots = {root for root in roots if not (root.name == STATIC and root.parent in roots)}
    if len(roots) != 1:
        how = "no Vosk model" if not roots else f"{len(roots)} models"
        raise ModelError(f"{archive.name} holds {how}: one folder with am/final.mdl is expected")
    return roots.pop()


def _is_in(path: PurePosixPath, root: PurePosixPath) -> bool:
    return path.is_relative_to(root) and "__MACOSX" not in path.parts and path.name != ".DS_Store"


def size_of(folder: Path) -> int:
    """Bytes that a copy of it will have: links are files there."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def copy_folder(source: Path, target: Path) -> None:
    """A model's folder, files only: links are followed, as long as they stay inside. Raises ModelError, OSError."""
    inside = source.resolve()
    files = [file for file in source.rglob("*") if file.is_file()]
    for file in files:
        if not file.resolve().is_relative_to(inside):
            raise ModelError(f"{file} points out of {source}: copy the model with its files")
    for file in files:
        (target / file.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target / file.relative_to(source))
