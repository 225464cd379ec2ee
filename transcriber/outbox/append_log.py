"""An append-only, synced file of lines. Everything here blocks and raises OSError."""

import os
from pathlib import Path


def create(path: Path, data: bytes) -> int:
    """A new file, and its name in the folder, safe on disk."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        append(file, data, 0)
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError:
        os.close(file)
        raise
    return file


def append(file: int, data: bytes, offset: int) -> None:
    """At `at`, the end of what is known to be good, so that a torn line is written over."""
    while data:
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written
    os.fdatasync(file)


def read_lines(path: Path, offset: int, count: int) -> tuple[list[bytes], int]:
    """So many lines from a position, and the position behind them."""
    with path.open("rb") as file:
        file.seek(offset)
        texts = [text for _ in range(count) if (text := file.readline())]
        return texts, file.tell()
