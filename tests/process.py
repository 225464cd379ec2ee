"""Programs as processes of their own, without this process's settings; killed at the end if they still run."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).parents[1]
WITHIN_S = 50.0


@asynccontextmanager
async def program(
    *argv: str, environment: Mapping[str, str] = MappingProxyType({}), errors: int = asyncio.subprocess.STDOUT
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Any program, begun in the project's folder; its stdout is a pipe, and `errors` is where its stderr goes."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRANSCRIBER_")}
    child = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=errors,
        env=clean | dict(environment),
        cwd=ROOT,
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


@asynccontextmanager
async def process(*flags: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`transcriber serve` on a free port."""
    async with program(
        sys.executable, "-m", "transcriber", "serve", "--port", "0", *flags, environment=environment
    ) as child:
        yield child


async def command(*argv: str, **environment: str) -> tuple[int | None, str]:
    """A command of `transcriber` that ends by itself: its exit status and all that it writes."""
    async with program(sys.executable, "-m", "transcriber", *argv, environment=environment) as child:
        out, _ = await asyncio.wait_for(child.communicate(), WITHIN_S)
    return child.returncode, out.decode()


async def wait_for_line(child: asyncio.subprocess.Process, words: bytes) -> bytes:
    """The next line of its output with these words. Raises AssertionError at its end, TimeoutError after 30 s."""
    assert child.stdout is not None
    async with asyncio.timeout(30):
        async for line in child.stdout:
            if words in line:
                return line
    raise AssertionError(f"never written: {words!r}")


async def wait_until_ready(child: asyncio.subprocess.Process) -> str:
    """The address it is reachable at, once it says that it is ready."""
    return (await wait_for_line(child, b"ready on ")).split(b"ready on ")[1].split(b";")[0].decode()
