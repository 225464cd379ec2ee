"""How much of the machine this process may use: cores and memory, whatever else limits them.

Affinity (taskset, cpusets) and the control groups' limits (containers, systemd units) count; see `control_groups`.
"""

import math
import os
from dataclasses import dataclass

from transcriber.runtime.control_groups import ControlGroups


@dataclass(frozen=True, slots=True)
class Share:
    """What the process may use, beside what the machine has."""

    cores: float
    machine_cores: int
    affinity: int
    memory: int
    machine_memory: int

    @classmethod
    def now(cls, groups: ControlGroups | None = None) -> "Share":
        """Read from the kernel."""
        groups = ControlGroups.of_process() if groups is None else groups
        affinity, memory = len(os.sched_getaffinity(0)), _machine_memory()
        quota, limit = groups.cpu_cores(), groups.memory_bytes()
        return cls(
            cores=affinity if quota is None else min(affinity, quota),
            machine_cores=os.cpu_count() or affinity,
            affinity=affinity,
            memory=memory if limit is None else min(memory, limit),
            machine_memory=memory,
        )

    @property
    def whole_cores(self) -> int:
        """The cores as a number of processes: part of a core counts as one."""
        return max(1, math.ceil(self.cores))

    def limits(self) -> list[str]:
        """What is less than the machine has, and why, a line each."""
        lines = []
        if self.cores < self.machine_cores:
            why = "the control group's CPU quota" if self.cores < self.affinity else "the process's CPU affinity"
            lines.append(f"{self.cores:.3g} of {self.machine_cores} cores: {why}")
        if self.memory < self.machine_memory:
            share = f"{self.memory / 1e9:.1f} of {self.machine_memory / 1e9:.1f} GB of memory"
            lines.append(f"{share}: the control group's limit")
        return lines


def cpu_cores() -> float:
    """Cores that this process may use at once, above 0: a quota of half a core is 0.5."""
    return Share.now().cores


def whole_cores() -> int:
    """The same as a number of processes: part of a core counts as one."""
    return Share.now().whole_cores


def memory_bytes() -> int:
    """Memory that this process and those in its control group may take together, whoever uses it now."""
    return Share.now().memory


def memory_room() -> int | None:
    """Bytes up to the control groups' limits; None where none is set."""
    return ControlGroups.of_process().memory_room()


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
