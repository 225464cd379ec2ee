"""The port to a server that is measured: how a call is made to it, and what of the machine it uses."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import psutil

from transcriber.benchmark.call_result import CallResult
from transcriber.benchmark.material import Call

LAST_WORDS_WITHIN_S = 60.0
"""How long after the end of a call its last words may come."""


@dataclass(frozen=True, slots=True)
class ResourceUse:
    """What a system has used of this machine: CPU seconds of all its processes so far, bytes of resident memory.

    `redis_cpu_s` and `redis_bytes` are not part of the other two; they are 0 where there is no Redis.
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

    def resources(self) -> ResourceUse | None:
        """What it has used; None for a server that is not our child."""


OpenSystem = AbstractAsyncContextManager[SystemUnderTest]


def resources_of(pid: int) -> ResourceUse:
    """Those of a process and all below it."""
    processes = _family(pid)
    redis = [process for process in processes if "redis" in process.name()]
    others = [process for process in processes if process not in redis]
    return ResourceUse(_cpu_s(others), _cpu_s(redis), _memory(others), _memory(redis))


def machine_cpu_s() -> float:
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
    """Pages that several share count once: each has its part of them (PSS)."""
    return sum(process.memory_full_info().pss for process in processes)
