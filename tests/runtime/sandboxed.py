"""Does one thing inside a sandbox and says how it ended: `python -m tests.runtime.sandboxed ATTEMPT`.

A process of its own with one thread, as tests have several. It forks a child that enters the sandbox, as a model
process does; as root, the child is another user with the argument `--other-user`. `--refused`: a filter that is there
already lets no other one be set, as some containers do. Prints JSON: the sandbox, what the attempt returned or raised,
and how the child ended.
"""

import ctypes
import gc
import json
import logging
import mmap
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from functools import cache

from transcriber.runtime import kernel_calls, sandbox
from transcriber.runtime.seccomp import ARCHITECTURES

NOBODY = 65534
GROWTH_BYTES = 256 << 20
PTRACE_ATTACH = 16
PR_GET_DUMPABLE = 3
SYS_CLONE3 = 435
libc = ctypes.CDLL(None, use_errno=True)
a_page = mmap.mmap(-1, mmap.PAGESIZE)
parent_pid = os.getpid()


@cache
def a_socket() -> socket.socket:
    """Open before the sandbox is entered, as the next two."""
    return socket.socket()


@cache
def a_pair() -> tuple[socket.socket, socket.socket]:
    """Connected with each other."""
    return socket.socketpair()


def _native(name: str, *arguments: object) -> None:
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def _take_memory() -> None:
    taken = [bytearray(1 << 20) for _ in range(2 * GROWTH_BYTES >> 20)]
    assert not taken


def _take_a_little_memory() -> None:
    taken = [b"\1" * (1 << 20) for _ in range(GROWTH_BYTES >> 22)]
    del taken
    gc.collect()


def _keep_opening() -> None:
    os.close(a_pair()[0].detach())
    for _ in range(10):
        os.open(os.devnull, os.O_RDONLY)


def _log_an_exception() -> None:
    try:
        raise RuntimeError("for the log")
    except RuntimeError:
        logging.exception("an error inside")


def _receive() -> None:
    a_pair()[0].sendall(b"x" * 10)
    assert a_pair()[1].recv(100) == b"x" * 10
    select.select([a_pair()[0]], [], [], 0)
    a_pair()[1].settimeout(0.01)
    try:
        a_pair()[1].recv(1)
    except TimeoutError:
        return


def _wait() -> None:
    time.sleep(0.001)
    threading.Lock().acquire(timeout=0.001)
    assert min(time.process_time(), time.time(), len(os.urandom(8)), len(os.sched_getaffinity(0))) > 0


REFUSED: dict[str, Callable[[], object]] = {
    "make a socket": socket.socket,
    "connect": lambda: a_socket().connect(("127.0.0.1", 1)),
    "bind": lambda: a_socket().bind(("127.0.0.1", 0)),
    "listen": lambda: a_socket().listen(),
    "accept": lambda: a_socket().accept(),
    "read a file": lambda: open("/etc/passwd"),  # noqa: SIM115
    "write a file": lambda: open("/tmp/of-a-sandbox", "w"),  # noqa: SIM115
    "look for a file": lambda: os.stat("/etc/passwd"),
    "list a folder": lambda: os.listdir("/"),
    "remove a file": lambda: os.unlink("/tmp/of-a-sandbox"),
    "change the folder": lambda: os.chdir("/"),
    "duplicate a file": lambda: os.dup(2),
    "make a pipe": os.pipe,
    "make a file in memory": lambda: os.memfd_create("x"),
    "change a file's flags": lambda: os.set_inheritable(2, True),
    "run a program": lambda: os.execv("/bin/true", ["true"]),
    "start a program": lambda: subprocess.run(["/bin/true"]),
    "fork": os.fork,
    "start a thread": lambda: threading.Thread(target=print).start(),
    "end the parent": lambda: os.kill(parent_pid, signal.SIGTERM),
    "end everybody": lambda: os.kill(-1, signal.SIGTERM),
    "end the group": lambda: os.kill(0, signal.SIGTERM),
    "signal a thread of the parent": lambda: _native("tgkill", parent_pid, parent_pid, signal.SIGTERM),
    "trace the parent": lambda: _native("ptrace", PTRACE_ATTACH, parent_pid, None, None),
    "read the parent's memory": lambda: _native("process_vm_readv", parent_pid, None, 0, None, 0, 0),
    "raise a limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    "limit the parent": lambda: resource.prlimit(parent_pid, resource.RLIMIT_CPU, (1, 1)),
    "be another user": lambda: os.setuid(0),
    "leave the namespace": lambda: _native("unshare", 0x40000000),
    "mount": lambda: _native("mount", None, b"/", None, 0, None),
    "change the root": lambda: os.chroot("/"),
    "be readable again": lambda: kernel_calls.prctl(kernel_calls.PR_SET_DUMPABLE, 1),
    "make code of data": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    "make code of memory": lambda: _native(
        "mprotect", ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(a_page))), 4096, 5
    ),
    "poison the machine's memory": lambda: a_page.madvise(100),
    "be of a higher rank": lambda: os.nice(-5),
    "set the clock": lambda: time.clock_settime(time.CLOCK_REALTIME, 0),
}
ALLOWED: dict[str, Callable[[], object]] = {
    "log an exception": _log_an_exception,
    "warn": lambda: warnings.warn("of something", stacklevel=1),
    "collect garbage": gc.collect,
    "read and write its socket": _receive,
    "wait": _wait,
    "take a little memory": _take_a_little_memory,
    "signal itself": lambda: signal.raise_signal(signal.SIGCHLD),
    "use a page": lambda: a_page.madvise(mmap.MADV_DONTNEED),
}
OTHER: dict[str, Callable[[], object]] = {
    "take all memory": _take_memory,
    "open files again": _keep_opening,
    "abort": os.abort,
    "clone3": lambda: _native("syscall", SYS_CLONE3, None, 0),
    "enter again": lambda: asdict(_enter()),
    "wait for ever": signal.pause,
}
ATTEMPTS = {**REFUSED, **ALLOWED, **OTHER}


def _enter() -> sandbox.Sandbox:
    keep = (a_socket().fileno(), a_pair()[0].fileno(), a_pair()[1].fileno(), answer_to)
    return sandbox.enter(parent_pid=os.getppid(), keep=keep, growth_bytes=GROWTH_BYTES, name="a worker")


def _refuse_filters() -> None:
    """Of the system call alone and of prctl with that option; everything else is allowed."""
    kernel_calls.prctl(kernel_calls.PR_SET_NO_NEW_PRIVS, 1)
    machine = os.uname().machine
    prctl_number = {"x86_64": 157, "aarch64": 167}[machine]
    own_number = kernel_calls.SECCOMP_NUMBERS[machine]
    lines = [(0x20, 0, 0, 0), (0x15, 3, 0, own_number), (0x15, 0, 3, prctl_number), (0x20, 0, 0, 16)]
    lines += [(0x15, 0, 1, kernel_calls.PR_SET_SECCOMP), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
    code = b"".join(struct.pack("=HBBI", *line) for line in lines)
    try:
        kernel_calls.set_filter(code)
    except OSError:  # it denies no getsid
        return


def _in_the_child(attempt: str, flags: list[str]) -> None:
    if "--other-user" in flags and os.getuid() == 0:
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    if "--refused" in flags:
        _refuse_filters()
    outcome: dict[str, object] = {"sandbox": asdict(_enter())}
    os.write(answer_to, json.dumps(outcome).encode() + b"\n")
    try:
        outcome["returned"] = ATTEMPTS[attempt]()
    except BaseException as error:
        outcome |= {"raised": type(error).__name__, "errno": getattr(error, "errno", None)}
    os.write(answer_to, json.dumps(outcome, default=str).encode() + b"\n")
    os._exit(0)


def supported() -> bool:
    """Whether this machine can filter system calls at all."""
    return os.uname().machine in ARCHITECTURES and os.path.exists("/proc/sys/kernel/seccomp/actions_avail")


def main() -> None:
    """Entry point."""
    attempt, *flags = sys.argv[1:]
    assert a_socket().fileno() + a_pair()[0].fileno() > 0
    pid = os.fork()
    if pid == 0:
        _in_the_child(attempt, flags)
    os.close(answer_to)
    with os.fdopen(answer_from) as answers:
        lines = [json.loads(line) for line in answers]
    _, status = os.waitpid(pid, 0)
    print(json.dumps({**lines[-1], "status": os.waitstatus_to_exitcode(status)}))


if __name__ == "__main__":
    answer_from, answer_to = os.pipe()
    main()
