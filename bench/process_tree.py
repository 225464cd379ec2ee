"""A server's processes as seen from outside: its model process, its recognition workers, and what all of them hold."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from transcriber.recognition.supervisor.model_process import PROGRAM

LOOK_S = 0.005
RESTS_AFTER_LOOKS = 5
KB = 1024
MB = 1e6
GONE = (psutil.NoSuchProcess, psutil.ZombieProcess, FileNotFoundError, ProcessLookupError)


def children(pid: int) -> list[int]:
    """Pids of the direct children, zombies too; none if the process has gone. Cheaper than psutil, which reads all."""
    found: list[int] = []
    with suppress(*GONE):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def descendants(pid: int) -> Iterator[int]:
    """Children, their children and so on."""
    for child in children(pid):
        yield child
        yield from descendants(child)


def model_process(server: int) -> int:
    """Pid of the process that holds the model. Raises LookupError while there is none."""
    for child in children(server):
        if _runs(child, PROGRAM) and is_alive(child):
            return child
    raise LookupError(f"process {server} has no model process")


def workers(server: int) -> list[int]:
    """Pids of the recognition workers that are there, dead ones not."""
    try:
        return sorted(pid for pid in children(model_process(server)) if is_alive(pid))
    except LookupError:
        return []


def is_alive(pid: int) -> bool:
    """Whether it is there, running or stopped; a zombie is not."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except GONE:
        return False


async def replaced(server: int, before: list[int], *, within_s: float = 20) -> float:
    """Seconds until there are as many workers as before, and one of them is new. Raises TimeoutError."""
    began_s = time.monotonic()
    async with asyncio.timeout(within_s):
        while len(now := workers(server)) < len(before) or set(now) == set(before):  # noqa: ASYNC110 - other processes
            await asyncio.sleep(LOOK_S)
    return time.monotonic() - began_s


async def at_rest(server: int, *, within_s: float = 60) -> None:
    """Until all workers wait for something to do: they sleep each time that one looks. Raises TimeoutError."""
    looks = 0
    async with asyncio.timeout(within_s):
        while looks < RESTS_AFTER_LOOKS:
            await asyncio.sleep(LOOK_S)
            looks = looks + 1 if all(map(_sleeps, workers(server))) else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What a process, or several of them, hold. `pss_mb`: what is shared is divided by those who share it."""

    processes: int
    zombies: int
    files: int
    rss_mb: float
    pss_mb: float
    private_mb: float

    def line(self) -> str:
        """For people."""
        return (
            f"{self.processes} processes, {self.zombies} zombies, {self.files} files, RSS {self.rss_mb:.1f} MB, "
            f"PSS {self.pss_mb:.1f} MB, private {self.private_mb:.1f} MB"
        )


def footprint(*pids: int) -> Footprint:
    """Of just these processes."""
    living, zombies = [], 0
    for pid in pids:
        with suppress(*GONE):
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                zombies += 1
            else:
                living.append(process)
    files, rss_bytes, pss_kb, private_kb = 0, 0, 0, 0
    for process in living:
        with suppress(*GONE):
            shares = _smaps_rollup(process.pid)
            files += process.num_fds()
            rss_bytes += process.memory_info().rss
            pss_kb += shares["Pss"]
            private_kb += shares["Private_Clean"] + shares["Private_Dirty"]
    return Footprint(
        processes=len(living),
        zombies=zombies,
        files=files,
        rss_mb=rss_bytes / MB,
        pss_mb=pss_kb * KB / MB,
        private_mb=private_kb * KB / MB,
    )


def tree_of(server: int) -> Footprint:
    """Of the server and all below it, but its Redis."""
    below = [pid for pid in descendants(server) if not _runs(pid, "redis-server")]
    return footprint(server, *below)


def _sleeps(pid: int) -> bool:
    with suppress(*GONE):
        return bool(psutil.Process(pid).status() == psutil.STATUS_SLEEPING)
    return False


def _runs(pid: int, words: str) -> bool:
    try:
        return words.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except GONE:
        return False


def _smaps_rollup(pid: int) -> dict[str, int]:
    """Kilobytes by kind."""
    rows = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
    return {row[0].rstrip(":"): int(row[1]) for row in rows}
