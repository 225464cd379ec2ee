"""Calls of the Linux kernel that Python has no function for. All are about the calling process, which has one thread.

Each raises OSError where the kernel, or whoever confines this process already, does not allow it.
"""

import ctypes
import errno
import os
import struct
from typing import Any

from transcriber.runtime.bpf import INSTRUCTION_BYTES

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NAME, PR_CAPBSET_DROP = 1, 4, 15, 24
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
SECCOMP_MODE_FILTER, SECCOMP_SET_MODE_FILTER = 2, 1
SPEC_ALLOW = 4
"""Kernels before 5.16 otherwise slow a filtered process down, against leaks between programs in one process."""
SECCOMP_NUMBERS = {"x86_64": 317, "aarch64": 277}
CAPABILITY_VERSION_3 = 0x20080522
MAX_CAPABILITIES = 64

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def prctl(option: int, value: int | bytes = 0) -> None:
    """Change one property of this process."""
    _call("prctl", ctypes.c_int(option), *_words(value, 0, 0, 0))


def drop_capabilities() -> None:
    """Give up every right of root, also for programs that would be run; nothing where there are none."""
    for capability in range(MAX_CAPABILITIES):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:  # no such capability in this kernel, or none to drop
            break
    _call("capset", struct.pack("=Ii", CAPABILITY_VERSION_3, 0), bytes(24))


def set_filter(program: bytes) -> None:
    """Let every further system call be judged by a seccomp filter; see `seccomp.program`. It stays for good."""
    filter_ = ctypes.byref(_Program(len(program) // INSTRUCTION_BYTES, program))
    try:
        number = ctypes.c_long(SECCOMP_NUMBERS[os.uname().machine])
        _call("syscall", number, *_words(SECCOMP_SET_MODE_FILTER, SPEC_ALLOW), filter_)
    except (OSError, KeyError):  # a kernel without that flag
        _call("prctl", ctypes.c_int(PR_SET_SECCOMP), *_words(SECCOMP_MODE_FILTER), filter_, *_words(0, 0))
    try:
        os.getsid(0)
    except PermissionError:
        return
    raise OSError(errno.ENOTSUP, "the kernel took the filter and denies nothing")


def _words(*values: int | bytes) -> list[Any]:
    return [ctypes.c_char_p(value) if isinstance(value, bytes) else ctypes.c_ulong(value) for value in values]


def _call(name: str, *arguments: Any) -> None:
    try:
        function = getattr(_libc, name)
    except AttributeError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    if function(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
