"""What a server holds while it is used for long: memory, files, threads, tasks; and whether that grows."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aiohttp
import numpy as np
import psutil

from transcriber.telephony.simulator import Target

WARM = 0.5
"""Share of a part that is not looked at for growth: pools fill, allocators settle."""
MAX_LAG_S = 60.0
"""Whoever plays faster than real time waits while more audio than this is not recognised; at 600 s it is refused."""
TASKS = re.compile(r"^transcriber_tasks (\S+)$", re.MULTILINE)
LAG = re.compile(r"^transcriber_track_lag_seconds\{.*\} (\S+)$", re.MULTILINE)
MB = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the server holds after `done` calls, or hours of audio."""

    done: float
    rss_mb: float
    files: int
    threads: int
    tasks: int


@dataclass(frozen=True, slots=True)
class Growth:
    """Readings of one part, in order."""

    readings: Sequence[Reading]

    @property
    def warm(self) -> Sequence[Reading]:
        """Those after the warm-up."""
        return self.readings[int(len(self.readings) * WARM) :]

    @property
    def slope_mb(self) -> float:
        """Megabytes per unit of `done`: least squares after the warm-up."""
        return float(np.polyfit([one.done for one in self.warm], [one.rss_mb for one in self.warm], 1)[0])

    @property
    def grown_mb(self) -> float:
        """From the warm-up's end to the part's end, along that line."""
        return self.slope_mb * (self.warm[-1].done - self.warm[0].done)

    def more(self, what: str) -> int:
        """How many `files`, `threads` or `tasks` more there are at the end than after the warm-up."""
        return int(getattr(self.warm[-1], what) - getattr(self.warm[0], what))


class Watched:
    """A server and what it says about itself. `say`: a line for people, for each reading."""

    def __init__(self, url: str, pid: int, session: aiohttp.ClientSession, say: Callable[[str], None]) -> None:
        self.target = Target(url=url)
        self._process = psutil.Process(pid)
        self._session = session
        self._say = say

    async def read(self, done: float) -> Reading:
        """Look at it now."""
        tasks = float(TASKS.findall(await self._metrics())[0])
        reading = Reading(
            done=done,
            rss_mb=self._process.memory_info().rss / MB,
            files=self._process.num_fds(),
            threads=self._process.num_threads(),
            tasks=int(tasks),
        )
        self._say(f"{done:10.2f} {reading.rss_mb:8.1f} {reading.files:6} {reading.threads:8} {reading.tasks:6}")
        return reading

    async def idle(self) -> bool:
        """Whether no stream is live."""
        return "\ntranscriber_streams_live 0.0\n" in await self._metrics()

    async def keeps_up(self) -> bool:
        """Whether all tracks have less than `MAX_LAG_S` to be recognised."""
        return all(float(lag) < MAX_LAG_S for lag in LAG.findall(await self._metrics()))

    async def _metrics(self) -> str:
        async with self._session.get(f"{self.target.url}/metrics") as answer:
            return await answer.text()
