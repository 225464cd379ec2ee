"""A real redis-server of our own, private to one directory: started, watched until ready, stopped. No emulation."""

import asyncio
import fcntl
import hashlib
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from transcriber.errors import PrivateRedisError
from transcriber.runtime.cancellation import cancel
from transcriber.store.redis import binary, probe

log = logging.getLogger(__name__)
START_S = 5.0
LOADING_S = 60.0
"""How long a large history may take to be read back."""
STOP_S = 5.0
MIN_PAUSE_S, MAX_PAUSE_S = 0.1, 10.0
"""Before it is started again after it died."""
STEADY_S = 60.0
MAX_SOCKET_PATH_BYTES = 100
"""Bytes. The kernel takes 107 on Linux, 103 on macOS."""
MAX_LOG_BYTES = 1 << 20

# Runs in the child before redis-server takes its place. In a program of its own, not in a preexec_fn: that would run
# Python in a fork of a process with many threads, which may deadlock. PR_SET_PDEATHSIG (1) asks the kernel to send
# SIGTERM (15) when we die, upon which redis-server saves and leaves.
_DIES_WITH_PARENT = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15, 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        raise SystemExit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def socket_path(directory: Path) -> Path:
    """Where the server of that directory listens; in the temporary directory when the path would be too long."""
    path = directory.absolute() / "redis.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
        return path
    name = hashlib.sha256(os.fsencode(directory.absolute())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"transcriber-{os.getuid()}-{name}" / "redis.sock"


def socket_url(directory: Path) -> str:
    """The Redis URL of the server of that directory, whether or not it is running."""
    return f"unix://{quote(str(socket_path(directory)))}"


class PrivateRedis:
    """An async context manager: within it, `url` is a running redis-server whose data is kept in `directory`.

    One that dies is started again, with its data. One at a time per directory.
    Entering raises PrivateRedisError: no program found, directory in use or not ours,
    data unreadable (with the last lines of redis.log), not ready in time.
    """

    def __init__(self, directory: Path, *, find_program: Callable[[], Path] = binary.find) -> None:
        self._find_binary = find_program
        self._directory = directory.absolute()
        self._socket = socket_path(directory)
        self._stack = AsyncExitStack()
        self._log_start = 0

    @property
    def url(self) -> str:
        return socket_url(self._directory)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            try:
                self._make_private()
                stack.callback(os.close, self._lock())
                await self._stop_orphan()
                self._program = await self._find_program()
                await self._spawn()
            except OSError as error:
                raise PrivateRedisError(f"private redis-server in {self._directory}: {error}") from error
            stack.push_async_callback(self._stop)
            await self._until_ready()
            watching = asyncio.create_task(self._watch(), name="private-redis")
            stack.push_async_callback(cancel, watching)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _make_private(self) -> None:
        for folder in {self._directory, self._socket.parent}:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                raise PrivateRedisError(f"{folder} must be a directory of this user, not a link or somebody else's")
            folder.chmod(0o700)

    def _lock(self) -> int:
        """Held by the open file, so the kernel gives it back however we end: it is never stale."""
        file = os.open(self._directory / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise PrivateRedisError(
                f"{self._directory} is in use by another server: stop it, set another TRANSCRIBER_DATA_DIR, "
                "or share one Redis by TRANSCRIBER_REDIS_URL"
            ) from None
        return file

    async def _stop_orphan(self) -> None:
        """An earlier server died and its redis-server did not: have it save and leave."""
        began = time.monotonic()
        while await probe.state(self._socket) is not None:
            log.warning("an earlier private redis-server still runs in %s: asking it to stop", self._directory)
            await probe.ask_to_stop(self._socket)
            if time.monotonic() - began > STOP_S:
                raise PrivateRedisError(f"a redis-server still uses {self._socket} and does not stop: end it by hand")
            await asyncio.sleep(0.02)

    async def _find_program(self) -> Path:
        program = self._find_binary()
        if self._has_multipart_log() and await binary.major_version(program) < 7:
            raise PrivateRedisError(
                f"the data in {self._directory} was written by redis-server 7 or newer and {program} is older: "
                "install redis-server 7 or newer, or set another TRANSCRIBER_DATA_DIR"
            )
        return program

    def _has_multipart_log(self) -> bool:
        return (self._directory / "appendonlydir").is_dir()

    @property
    def _log(self) -> Path:
        return self._directory / "redis.log"

    def _begin_log(self) -> None:
        self._log_start = self._log.stat().st_size if self._log.exists() else 0
        if self._log_start > MAX_LOG_BYTES:
            os.truncate(self._log, 0)
            self._log_start = 0

    def _clear_away(self) -> None:
        """What a rewriting of the file left when it was killed."""
        for pattern in ("temp-*.aof", "temp-*.rdb", "appendonlydir/temp-*"):
            for path in self._directory.glob(pattern):
                path.unlink(missing_ok=True)

    async def _start(self) -> None:
        await self._spawn()
        await self._until_ready()

    async def _spawn(self) -> None:
        self._begin_log()
        self._clear_away()
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "slowlog-log-slower-than": "-1",  # its entries would hold parts of transcripts
            "slowlog-max-len": "0",
            "dir": str(self._directory),
            "daemonize": "no",
            "logfile": str(self._log),
        }
        pairs = [part for name, value in options.items() for part in (f"--{name}", value)]
        output = os.open(self._log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", "-c", _DIES_WITH_PARENT, str(os.getpid()), str(self._program), *pairs),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C in the terminal is for us: calls are still being written
            )
        finally:
            os.close(output)

    async def _until_ready(self) -> None:
        began = time.monotonic()
        limit = START_S
        while True:
            answer = await probe.state(self._socket)
            if answer == "ready":
                return
            if answer == "loading":
                limit = LOADING_S
            if self._process.returncode is not None:
                raise PrivateRedisError(f"the private redis-server stopped at once; {self._log} says: {self._said()}")
            if time.monotonic() - began > limit:
                raise PrivateRedisError(
                    f"the private redis-server is not ready after {limit:.0f} s; {self._log} says: {self._said()}"
                )
            await asyncio.sleep(0.01)

    def _said(self) -> str:
        with self._log.open(errors="replace") as file:
            file.seek(self._log_start)
            lines = [line.strip() for line in file if line.strip()]
        return " | ".join(lines[-5:]) or "(nothing)"

    async def _watch(self) -> None:
        """Start it again whenever it ends without being asked to; the longer the pause, the sooner it died."""
        pause_s = MIN_PAUSE_S
        while True:
            began = time.monotonic()
            status = await self._process.wait()
            if time.monotonic() - began > STEADY_S:
                pause_s = MIN_PAUSE_S
            log.error("the private redis-server ended with status %d; it is started again", status)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)
            try:
                await self._start()
                log.warning("the private redis-server is there again")
            except (OSError, PrivateRedisError) as error:
                log.error("the private redis-server does not start: %s", error)

    async def _stop(self) -> None:
        process = self._process
        if process.returncode is None:
            await probe.ask_to_stop(self._socket)
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            log.error("the private redis-server did not stop in %.0f s and is killed", STOP_S)
            process.kill()
            await process.wait()
        if self._socket.parent != self._directory:
            with suppress(OSError):
                self._socket.parent.rmdir()
