"""A real redis-server that can be killed, stalled, set back and emptied: trouble for tests and chaos."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from transcriber.store.redis import binary, probe

START_S = 10.0


class OwnRedis:
    """A child process with an append-only file in `directory`, a short path; nobody is told when it is in trouble.

    It syncs before it confirms: with `everysec` a kill loses up to 2 s of confirmed writes when the disk is slow, as
    Redis then holds back even the write to the file, and what is found missing would not be the server's fault.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._socket = directory / "redis.sock"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Its address, whether or not it runs."""
        return f"unix://{self._socket}"

    async def start(self) -> None:
        """Run it, with the data that are there; returns when it answers. Raises TimeoutError."""
        self._process = await asyncio.create_subprocess_exec(
            *(
                str(binary.find()),
                "--port",
                "0",
                "--unixsocket",
                str(self._socket),
                "--dir",
                str(self._directory),
            ),
            *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
            *("--logfile", str(self._directory / "redis.log")),
        )
        async with asyncio.timeout(START_S):
            while await probe.state(self._socket) != "ready":  # noqa: ASYNC110 - another process, nothing tells
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """SIGKILL, stalled or not."""
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    def stall(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def keep_data(self) -> None:
        """Remember the data as they are on disk now."""
        shutil.rmtree(self._directory / "kept", ignore_errors=True)
        (self._directory / "kept").mkdir()
        for path in self._data():
            (shutil.copytree if path.is_dir() else shutil.copy2)(path, self._directory / "kept" / path.name)

    def set_back(self) -> None:
        """While it is dead: the data are those remembered."""
        self.empty()
        for path in (self._directory / "kept").iterdir():
            (shutil.copytree if path.is_dir() else shutil.copy2)(path, self._directory / path.name)

    def empty(self) -> None:
        """While it is dead: its data are gone."""
        for path in self._data():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _data(self) -> list[Path]:
        return list(self._directory.glob("append*"))

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, number)


@asynccontextmanager
async def own_redis() -> AsyncIterator[OwnRedis]:
    """A running one; it and its data go at the end."""
    with TemporaryDirectory(prefix="redis-") as directory:
        server = OwnRedis(Path(directory))
        try:
            await server.start()
            yield server
        finally:
            await server.kill()
