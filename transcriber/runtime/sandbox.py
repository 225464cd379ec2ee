"""What a process gives up before it decodes what strangers say; see decision 54.

`python -m transcriber.runtime.sandbox` enters one and prints what is in force on this machine, as JSON.
"""

import json
import os
import resource
import signal
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from transcriber.runtime import kernel_calls, seccomp

FILTER = "system calls filtered"
STANDARD_FILES = (0, 1, 2)
TRIAL_WITHIN_S = 60
OOM_SCORE = 300
"""Added to the kernel's score of up to 1,000: a worker goes before a server or a Redis of the same size, yet after a
program that has taken a third of the machine's memory more than it."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What was given up. `missing`: what the kernel did not allow, each with its reason."""

    in_force: tuple[str, ...]
    missing: tuple[str, ...]

    def __str__(self) -> str:
        """For a log line."""
        whole = ", ".join(self.in_force) or "nothing"
        return f"{whole}; not in force: {', '.join(self.missing)}" if self.missing else whole


def enter(*, parent_pid: int, keep: Collection[int], growth_bytes: int, name: str) -> Sandbox:
    """Give up what decoding does not need, for good. To be called once, right after a fork, with one thread.

    The process ends with its parent `parent_pid`, at once too where that has gone already. Open files but `keep` and
    the standard ones are closed. It may write to no more than `growth_bytes` of memory beyond what it has. `name` has
    up to 15 bytes. Never raises: what cannot be given up is in `missing`, and the rest is given up all the same.
    """
    measures: tuple[tuple[str, Callable[[], object]], ...] = (
        ("ends with its parent", partial(end_with, parent_pid)),
        ("named", partial(kernel_calls.prctl, kernel_calls.PR_SET_NAME, name.encode()[:15])),
        ("ended first when memory is short", _prefer_to_be_ended),
        ("no other open files", partial(_close_all_but, {*STANDARD_FILES, *keep})),
        ("no core dump", partial(_limit, resource.RLIMIT_CORE, 0)),
        ("bounded memory", partial(_limit_memory, growth_bytes)),
        ("no file grows", _limit_file_size),
        ("no new files", partial(_limit_files, keep)),
        ("no new processes", _limit_processes),
        ("no locked memory", partial(_limit, resource.RLIMIT_MEMLOCK, 0)),
        ("no new privileges", partial(kernel_calls.prctl, kernel_calls.PR_SET_NO_NEW_PRIVS, 1)),
        ("memory closed to others", partial(kernel_calls.prctl, kernel_calls.PR_SET_DUMPABLE, 0)),
        ("no capabilities", kernel_calls.drop_capabilities),
        (FILTER, _filter_system_calls),
    )
    in_force, missing = [], []
    for measure, take in measures:
        try:
            take()
            in_force.append(measure)
        except (OSError, ValueError) as error:
            missing.append(f"{measure} ({getattr(error, 'strerror', None) or error})")
    return Sandbox(tuple(in_force), tuple(missing))


def end_with(parent_pid: int) -> None:
    """Let the kernel end this process when its parent dies; the parent's thread that started it must live as long."""
    kernel_calls.prctl(kernel_calls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it went before the kernel was told
        os.kill(os.getpid(), signal.SIGKILL)


def _prefer_to_be_ended() -> None:
    file = Path("/proc/self/oom_score_adj")
    if int(file.read_text()) < OOM_SCORE:
        file.write_text(str(OOM_SCORE))


def _close_all_but(kept: Collection[int]) -> None:
    for number in map(int, os.listdir("/proc/self/fd")):
        if number not in kept:
            with suppress(OSError):  # what the list itself was read by
                os.close(number)


def _limit_file_size() -> None:
    """A log that is a file must grow; then nothing else can, as no file can be opened."""
    for number in STANDARD_FILES[1:]:
        try:
            if stat.S_ISREG(os.fstat(number).st_mode):
                raise OSError(0, "the log is a file")
        except OSError as error:
            if not error.errno:
                raise
    _limit(resource.RLIMIT_FSIZE, 0)


def _limit_files(keep: Collection[int]) -> None:
    """Those that are open stay; a new one would have a number that is not below the limit."""
    taken = {*STANDARD_FILES, *keep}
    _limit(resource.RLIMIT_NOFILE, next(number for number in range(len(taken) + 1) if number not in taken))


def _limit_processes() -> None:
    _limit(resource.RLIMIT_NPROC, 0)
    if os.getuid() == 0:
        raise OSError(0, "does not hold for root")


def _limit_memory(growth_bytes: int) -> None:
    """Of memory that is written to and is its own: RLIMIT_AS would also count the addresses that mimalloc reserves."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    _limit(resource.RLIMIT_DATA, pages * resource.getpagesize() + growth_bytes)


def _limit(kind: int, most: int) -> None:
    """Never more than is allowed now, and never to be raised again."""
    _, hard = resource.getrlimit(kind)
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (least, least))


def _filter_system_calls() -> None:
    wide = struct.calcsize("P") == 8  # a 32-bit program makes the system calls of another architecture
    machine = os.uname().machine
    program = seccomp.program(machine, os.getpid()) if wide else None
    if program is None:
        raise OSError(0, f"no list for {machine if wide else '32-bit programs'}")
    kernel_calls.set_filter(program)


def trial() -> Sandbox:
    """What would be in force on this machine, for this user. In a process of its own; takes 0.1 s."""
    command = [sys.executable, "-m", __name__]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=TRIAL_WITHIN_S)  # noqa: S603 - ourselves
    except (OSError, subprocess.SubprocessError) as error:
        return Sandbox((), (f"what can be is not known ({error})",))
    found = json.loads(done.stdout)
    return Sandbox(tuple(found["in_force"]), tuple(found["missing"]))


def main() -> None:
    """Entry point."""
    report = enter(parent_pid=os.getppid(), keep=(), growth_bytes=1 << 28, name="sandbox-trial")
    print(json.dumps(asdict(report)))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
