"""Runs another program as a child process: reads its output all the time, asks it to end, ends it by its pid."""

import asyncio
import os
import re
import signal
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from transcriber.errors import ServerUnreachable

TERMINATE_WITHIN_S = 20
LAST_LINES = 20
PORT_RETRY_S = 0.1


class ChildProcess:
    """A running program. `last_lines`: of its output, on either stream."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._process = process
        self._written = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.returncode

    async def wait_for_line(self, pattern: re.Pattern[str], *, within_s: float) -> re.Match[str]:
        """The first of its last lines in which the pattern is found. Raises ServerUnreachable."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while True:
                    self._written.clear()
                    if found := next(filter(None, map(pattern.search, self.last_lines)), None):
                        return found
                    if self._reader.done():
                        raise ServerUnreachable("the server stopped before it was ready")
                    await self._written.wait()
        raise ServerUnreachable(f"the server was not ready in {within_s:.0f} s")

    async def wait_for_port(self, port: int, *, within_s: float) -> None:
        """Wait until somebody listens on a port of this machine. Raises ServerUnreachable."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not self._reader.done():
                    with suppress(OSError):
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                        writer.close()
                        return
                    await asyncio.sleep(PORT_RETRY_S)
                raise ServerUnreachable("the server stopped before it was ready")
        raise ServerUnreachable(f"nobody listened on port {port} in {within_s:.0f} s")

    async def wait_for_exit(self, *, within_s: float) -> int | None:
        """Its exit status once it has ended and all it wrote was read; None when it still runs by then."""
        try:
            async with asyncio.timeout(within_s):
                await self._process.wait()
        except TimeoutError:
            return None
        await self._reader
        return self._process.returncode

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL when that does not help; nothing if it has gone. Then everything it wrote is read."""
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), TERMINATE_WITHIN_S)
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self._process.wait()
        await self._reader

    def _signal(self, number: signal.Signals) -> None:
        """Not by the process's own method: that may reap it, and asyncio would then complain of a child unknown."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        while True:
            try:
                raw = await self._process.stdout.readline()
            except ValueError:  # a line longer than anybody reads; it is gone from the buffer
                continue
            if not raw:
                break
            self.last_lines.append(raw.decode("utf-8", "replace").rstrip())
            self._written.set()
        self._written.set()


@asynccontextmanager
async def running(command: Sequence[str], *, environment: Mapping[str, str]) -> AsyncIterator[ChildProcess]:
    """The program, ended with the block. Raises ServerUnreachable when it cannot be started."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C is for us: the child must outlive an orderly end
        )
    except OSError as error:
        raise ServerUnreachable(f"{command[0]} cannot be started: {error.strerror or error}") from None
    child = ChildProcess(process)
    try:
        yield child
    finally:
        await child.stop()
