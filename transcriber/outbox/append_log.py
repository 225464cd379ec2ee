"""An append-only, synced file of lines. Everything here blocks and raises OSError."""

import os
from pathlib import Path


def create(path: Path, data: bytes) -> int:
    """Make a file that begins with these bytes; both it and its name in the directory are synced. Returns it open."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        append(file, data, 0)
        directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError:
        os.close(file)
        raise
    return file


def append(file: int, data: bytes, offset: int) -> None:
    """Write at `offset`, the end of what is known to be good, so that a torn line is written over; synced."""
    while data:
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written
    os.fdatasync(file)


def read_lines(path: Path, offset: int, count: int) -> tuple[list[bytes], int]:
    """Up to `count` lines from an offset on, and the offset behind them."""
    with path.open("rb") as file:
        file.seek(offset)
        lines = [line for _ in range(count) if (line := file.readline())]
        return lines, file.tell()
