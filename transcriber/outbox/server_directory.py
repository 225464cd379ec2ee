"""A running server's own directory below the data directory, and how those of dead servers are told from it."""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from transcriber.store.call_deletion import LEFT_FOR_S

LOCK = "lock"
SPOOL_SUFFIX = ".jsonl"
JOURNAL_SUFFIX = ".mulaw"
TRIED_SUFFIX = ".tried"


class ServerDirectory:
    """`<root>/<owner>/`, locked while its server lives. The lock is the kernel's: it ends with the process, always."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def create(cls, root: Path) -> Self:
        """A new one, for a server that starts. Blocks. Raises OSError."""
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        root.chmod(0o700)
        while True:
            path = root / secrets.token_hex(6)
            path.mkdir(mode=0o700)
            if (lock := _lock(path)) is not None:
                return cls(path, lock)

    @property
    def owner(self) -> str:
        """The server's name: one word, never used again."""
        return self.path.name

    def spool_path(self, stream_sid: str) -> Path:
        """Where a stream's writes may wait; another place each time, as nothing forbids a sid to come again."""
        return self.path / f"{stream_sid}-{secrets.token_hex(4)}{SPOOL_SUFFIX}"

    def journal_path(self, stream_sid: str) -> Path:
        """Where a stream's audio may be kept, likewise."""
        return self.path / f"{stream_sid}-{secrets.token_hex(4)}{JOURNAL_SUFFIX}"

    def journal_paths(self) -> list[Path]:
        """All journals. Blocks."""
        return sorted(self.path.glob(f"*{JOURNAL_SUFFIX}"))

    def tried_journal_paths(self) -> list[Path]:
        """Those during whose transcription a server died. Blocks."""
        return sorted(self.path.glob(f"*{JOURNAL_SUFFIX}{TRIED_SUFFIX}"))

    def aside_path(self, path: Path) -> Path:
        """Where a journal goes that is set aside: where nobody looks for work."""
        return self.path.parent / f"{self.owner}-{path.name}{TRIED_SUFFIX}"

    def set_aside(self, path: Path) -> Path:
        """Move a file to where nobody looks for work any more; returns where it is. Blocks."""
        return path.rename(self.path.parent / f"{self.owner}-{path.name}")

    def spool_paths(self) -> list[Path]:
        """All spools, the oldest stream first. Blocks."""
        return sorted(self.path.glob(f"*{SPOOL_SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)

    @staticmethod
    def is_too_old(path: Path) -> bool:
        """Whether a file was left for too long. Blocks."""
        return time.time() - path.stat().st_mtime > LEFT_FOR_S

    def orphans(self) -> Iterator[Self]:
        """The directories beside this one whose servers are dead; they are ours until released. Blocks."""
        for path in sorted(self.path.parent.iterdir()):
            if path != self.path and path.is_dir() and (lock := _lock(path)) is not None:
                yield type(self)(path, lock)

    def release(self) -> None:
        """Unlock it, and remove it unless something waits in it. Blocks."""
        with suppress(OSError):
            if not self.spool_paths() and not self.journal_paths() and not self.tried_journal_paths():
                (self.path / LOCK).unlink()
                self.path.rmdir()
        os.close(self._lock)


def _lock(path: Path) -> int | None:
    """None: somebody else's, or it has just gone."""
    try:
        file = os.open(path / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its last holder may have removed it between the two steps.
        if os.path.samestat(os.fstat(file), os.stat(path / LOCK)):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(file)
    return None
