"""Reads secrets from files, and refuses files that other users of the machine may read or write."""

import os
import stat
from pathlib import Path

MAX_BYTES = 64 * 1024
MOUNTED = (Path("/run/secrets"), Path("/var/run/secrets"))
"""Where container runtimes put secrets, readable for every user of the container."""
GROUP_AND_OTHERS = 0o077


def read(path: Path, *, own: bool = False) -> str:
    """The text, without the line end at its end; blocks.

    `own`: a file that a server made itself, which nobody else may open or own. Raises ValueError that says what is
    wrong with the file and quotes none of it.
    """
    try:
        with path.open("rb") as file:
            _check_access(os.fstat(file.fileno()), path, own=own)
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(content) > MAX_BYTES:
        raise ValueError(f"{path} holds more than a secret: {MAX_BYTES} bytes at most")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip():
        raise ValueError(f"{path} is empty")
    return text


def _check_access(status: os.stat_result, path: Path, *, own: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        return  # a pipe (`<(pass show …)`) belongs to who opened it
    if own and status.st_mode & GROUP_AND_OTHERS:
        raise ValueError(f"{path} was open to other users of this machine")
    if own and os.geteuid() not in (0, status.st_uid):
        raise ValueError(f"{path} belongs to another user")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ValueError(f"others may write to {path}: chmod go-w it")
    if status.st_mode & stat.S_IROTH and not _is_mounted(path):
        raise ValueError(f"every user of this machine may read {path}: chmod o-r it")


def _is_mounted(path: Path) -> bool:
    """Whether a container runtime put it there for its container alone: Docker in one place, Kubernetes where the
    volume is mounted, through a link `..data` to a folder whose name begins with dots, too.
    """
    return any(folder in path.absolute().parents for folder in MOUNTED) or any(
        part.startswith("..") for part in path.resolve().parts
    )
