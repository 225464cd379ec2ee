"""The system calls that a process which only decodes may make, as a seccomp filter. Pure.

The filter is a list of what is allowed. Everything else fails with EPERM, so that Python raises PermissionError, and
does not end the process. What is found empirically to be called while Vosk, numpy and mimalloc decode is a third of it;
the rest is what another C library or Python version would call for the same.
"""

import errno
from collections.abc import Iterator, Mapping

from transcriber.runtime.bpf import ANY_BIT, AT_LEAST, EQUAL, LOAD, RETURN, instruction

ARCHITECTURES: Mapping[str, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""By `platform.machine()`: what the kernel calls the ABI of a system call."""
X32_BIT = 0x40000000
"""Numbers from here on are those of the x32 ABI, under the architecture of x86_64."""
CLONE3 = 435

ALLOWED: Mapping[str, tuple[int | None, int | None]] = {
    # name: number on x86_64, number on aarch64
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "recvfrom": (45, 207),
    "sendto": (44, 206),
    "recvmsg": (47, 212),
    "sendmsg": (46, 211),
    "shutdown": (48, 210),
    "close": (3, 57),
    "lseek": (8, 62),
    "fstat": (5, 80),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "brk": (12, 214),
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "membarrier": (324, 283),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigsuspend": (130, 133),
    "sigaltstack": (131, 132),
    "pause": (34, None),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "getcpu": (309, 168),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "gettid": (186, 178),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
MMAP, MPROTECT, MADVISE = (9, 222), (10, 226), (28, 233)
KILL, TGKILL = (62, 129), (234, 131)
IOCTL = (16, 29)
PROT_EXEC = 4
FIONBIO = 0x5421
"""What a socket's timeout is set with."""
MADV_HWPOISON = 100
"""Advice from here on is about the machine's memory, not about one's own."""

NUMBER_AT, ARCHITECTURE_AT, ARGUMENTS_AT = 0, 4, 16
ALLOW, FAIL = 0x7FFF0000, 0x00050000


def program(machine: str, pid: int) -> bytes | None:
    """The filter for the process `pid`, as the kernel takes it: 8 bytes an instruction. None: another architecture."""
    if machine not in ARCHITECTURES:
        return None
    column = list(ARCHITECTURES).index(machine)
    refuse = instruction(RETURN, FAIL | errno.EPERM)
    lines = [
        instruction(LOAD, ARCHITECTURE_AT),
        instruction(EQUAL, ARCHITECTURES[machine], then=1),
        refuse,
        instruction(LOAD, NUMBER_AT),
        instruction(AT_LEAST, X32_BIT, otherwise=1),
        refuse,
        *_conditional(MMAP[column], 2, ANY_BIT, PROT_EXEC, refused=True),
        *_conditional(MPROTECT[column], 2, ANY_BIT, PROT_EXEC, refused=True),
        *_conditional(MADVISE[column], 2, AT_LEAST, MADV_HWPOISON, refused=True),
        *_conditional(IOCTL[column], 1, EQUAL, FIONBIO, refused=False),
        *_conditional(KILL[column], 0, EQUAL, pid, refused=False),
        *_conditional(TGKILL[column], 0, EQUAL, pid, refused=False),
        *_only(CLONE3, FAIL | errno.ENOSYS),  # the C library then tries clone, and its caller learns of EPERM
    ]
    for numbers in ALLOWED.values():
        if (number := numbers[column]) is not None:
            lines += _only(number, ALLOW)
    return b"".join([*lines, refuse])


def _only(number: int, answer: int) -> Iterator[bytes]:
    """One answer to one system call, whatever its arguments are."""
    yield instruction(EQUAL, number, otherwise=1)
    yield instruction(RETURN, answer)


def _conditional(number: int, argument: int, test: int, value: int, *, refused: bool) -> Iterator[bytes]:
    """A system call that is refused, or only then allowed, when the low half of an argument passes a test.

    The kernel takes no more than that half of any of these arguments.
    """
    yield instruction(EQUAL, number, otherwise=4)
    yield instruction(LOAD, ARGUMENTS_AT + 8 * argument)
    yield instruction(test, value, otherwise=1)
    yield instruction(RETURN, FAIL | errno.EPERM if refused else ALLOW)
    yield instruction(RETURN, ALLOW if refused else FAIL | errno.EPERM)
