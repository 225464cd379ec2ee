"""Who is called: our service in one manner or another, or a peer. What they have in common."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import psutil

from transcriber.benchmark.call_result import CallResult
from transcriber.benchmark.material import Call

PATIENCE_S = 60.0
"""How long after a call its last words are waited for."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a side has used so far, of this machine: CPU seconds of all its processes, bytes of memory in RAM.

    `redis_cpu_s` and `redis_bytes` are in none of the others; they are 0 where there is none.
    """

    cpu_s: float
    redis_cpu_s: float
    memory_bytes: int
    redis_bytes: int


class SystemUnderTest(Protocol):
    """A server that runs, and how a call is made to it."""

    @property
    def name(self) -> str: ...
    @property
    def ready_s(self) -> float:
        """From its start until it took calls."""

    @property
    def endpoint_ms(self) -> int | None:
        """Silence after which it ends an utterance; None: its model's own rules."""

    async def call(self, call: Call, *, speed: float = 1.0) -> CallResult:
        """Play it (0: as fast as it is taken) and wait for its last words. Raises TranscriberError."""

    def use(self) -> Use | None:
        """None for a server that is not our child."""


Opening = AbstractAsyncContextManager[SystemUnderTest]


def use_of(pid: int) -> Use:
    """Of a process and all below it."""
    processes = _family(pid)
    redis = [process for process in processes if "redis" in process.name()]
    others = [process for process in processes if process not in redis]
    return Use(_cpu_s(others), _cpu_s(redis), _memory(others), _memory(redis))


def busy_s() -> float:
    """CPU seconds that all of this machine has worked, or was kept from working by the host of a virtual one."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def _family(pid: int) -> list[psutil.Process]:
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return float(sum(time.user + time.system for time in times))


def _memory(processes: Sequence[psutil.Process]) -> int:
    return sum(process.memory_info().rss for process in processes)
