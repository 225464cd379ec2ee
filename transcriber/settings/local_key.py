"""The API key of a server whose settings have none: made at its first start, kept in its data directory.

Whoever may read the file may use the server: its user, on this machine. Commands read it by themselves.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from transcriber.errors import ConfigError
from transcriber.settings import api_keys, secret_file

NAME = "api-key"
MIN_LENGTH = 24


def path_of(data_dir: Path) -> Path:
    """The file that holds it."""
    return data_dir / NAME


def load_or_create(data_dir: Path) -> str:
    """The key; a new one where there is none yet. Blocks. Raises ConfigError."""
    path = path_of(data_dir)
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _write(path, api_keys.generate())
    except OSError as error:
        raise ConfigError(f"the server's key cannot be kept in {path}: {error.strerror or error}") from None
    return _read(path)


def find(data_dir: Path) -> str | None:
    """The key, if one was made. Blocks. Raises ConfigError for a file that is of no use."""
    path = path_of(data_dir)
    try:
        return _read(path) if path.exists() else None
    except OSError as error:  # a folder of another user
        raise ConfigError(f"the server's key in {path} cannot be read: {error.strerror or error}") from None


def _read(path: Path) -> str:
    try:
        key = secret_file.read(path, own=True)
        if len(key) < MIN_LENGTH or not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError(f"{path} holds no key: {MIN_LENGTH} characters at least, without spaces")
    except ValueError as error:
        raise ConfigError(f"{error}; remove it, and the next start of the server makes another key") from None
    return key


def _write(path: Path, key: str) -> None:
    """Whole or not at all; of servers that start at once one writes, and the others read."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(key + "\n")
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()
