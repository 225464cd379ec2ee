"""What a process that decodes cannot do any more, and that it still decodes."""

import errno
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tests.process import ROOT
from tests.runtime.sandboxed import ALLOWED, REFUSED, supported
from transcriber.runtime import allocator, bpf, seccomp

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the sandbox is one of Linux")
needs_filter = pytest.mark.skipif(not supported(), reason="this kernel filters no system calls")
FILTER = "system calls filtered"
EXPECTED = {"start a thread": "RuntimeError", "raise a limit": "ValueError"}
"""Where Python turns the refusal into something else."""


def run(module: str, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout.splitlines()[-1]), "stderr": done.stderr}


def attempt(what: str, *flags: str) -> dict[str, Any]:
    return run("tests.runtime.sandboxed", what, *flags)


@needs_filter
@pytest.mark.parametrize("what", REFUSED)
def test_it_cannot(what: str) -> None:
    outcome = attempt(what)
    assert outcome["raised"] == EXPECTED.get(what, "PermissionError")
    assert outcome["status"] == 0


@pytest.mark.parametrize("what", ALLOWED)
def test_it_can(what: str) -> None:
    outcome = attempt(what)
    assert "raised" not in outcome
    assert outcome["status"] == 0
    if what == "log an exception":
        assert "RuntimeError: for the log" in outcome["stderr"]


@needs_filter
def test_all_of_it_is_in_force_here() -> None:
    """But what root is not held to. A limit that was lower before stays so."""
    sandbox = attempt("collect garbage")["sandbox"]
    assert sandbox["missing"] == (["no new processes (does not hold for root)"] if os.getuid() == 0 else [])
    assert FILTER in sandbox["in_force"]


@needs_filter
@pytest.mark.parametrize("what", ["make a socket", "read a file", "fork", "end the parent", "trace the parent"])
def test_a_user_without_rights_has_as_few(what: str) -> None:
    outcome = attempt(what, "--other-user")
    assert outcome["raised"] == "PermissionError"
    assert "no new processes" in outcome["sandbox"]["in_force"]


@needs_filter
def test_where_no_filter_may_be_set_the_limits_hold_and_it_is_said() -> None:
    for what, number in {"make a socket": errno.EMFILE, "read a file": errno.EMFILE}.items():
        outcome = attempt(what, "--refused", "--other-user")
        assert outcome["errno"] == number
        assert f"{FILTER} (Operation not permitted)" in outcome["sandbox"]["missing"]
        assert "no new privileges" in outcome["sandbox"]["in_force"]
    assert attempt("fork", "--refused", "--other-user")["raised"] == "BlockingIOError"
    assert attempt("raise a limit", "--refused")["raised"] == "ValueError"


def test_nothing_is_raised_where_everything_is_refused() -> None:
    outcome = attempt("enter again")
    assert outcome["status"] == 0
    assert any(reason.startswith(FILTER) for reason in outcome["returned"]["missing"])


def test_memory_beyond_the_bound_is_refused() -> None:
    assert attempt("take all memory")["raised"] == "MemoryError"


@needs_filter
def test_a_file_that_was_closed_makes_no_room_for_another() -> None:
    assert attempt("open files again")["raised"] == "PermissionError"


def test_an_abort_is_an_abort() -> None:
    """Kaldi ends so; the server reads it from the exit status."""
    assert attempt("abort")["status"] == -signal.SIGABRT


@needs_filter
def test_the_c_library_falls_back_from_clone3() -> None:
    assert attempt("clone3")["errno"] == errno.ENOSYS


@pytest.mark.parametrize("preload", [pytest.param(False, id="malloc"), pytest.param(True, id="mimalloc")])
def test_decoding_gives_the_same_words_inside(preload: bool) -> None:
    """The sample calls, a grammar, the upper band, an exception; and an end when memory runs out."""
    path = allocator.mimalloc_path()
    environment = {allocator.PRELOAD_VARIABLE: path} if preload and path else {}
    outcome = run("tests.runtime.sandboxed_decoding", environment=environment)
    assert outcome["inside"] == outcome["outside"]
    assert len(outcome["inside"]["texts"]) > 50
    assert "ModelError" in outcome["stderr"]
    assert outcome["out of memory"] != "no end"  # Vosk, mimalloc and the C library each end in another way
    if supported():
        assert FILTER in outcome["sandbox"]["in_force"]


def test_it_ends_with_its_parent() -> None:
    """At once: nothing else holds the pipe whose end is awaited."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.runtime.sandboxed_orphan"], cwd=ROOT, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"inside\n"
        parent.kill()
        assert parent.stdout.read() == b""


def test_it_ends_where_its_parent_has_gone_already() -> None:
    outcome = run("tests.runtime.sandboxed_orphan", "--other-parent")
    assert outcome["status"] == -signal.SIGKILL


def test_its_state_can_be_read_by_the_server_and_its_memory_cannot() -> None:
    """The server reads from it whether a worker was stopped. As root everything can be read."""
    readable = run("tests.runtime.sandboxed_orphan", "--readable")["readable"]
    assert readable["stat"]
    assert readable["statm"]
    assert not readable["maps"]
    assert not readable["environ"]


def judge(program: bytes, machine: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """What a filter answers; the kernel's rules for the five instructions that are used."""
    data = struct.pack("=iIQ6Q", number, machine, 0, *(arguments + (0,) * 6)[:6])
    lines = list(struct.iter_unpack("=HBBI", program))
    at, value = 0, 0
    while True:
        code, then, otherwise, operand = lines[at]
        at += 1
        match code:
            case bpf.LOAD:
                [value] = struct.unpack_from("=I", data, operand)
            case bpf.RETURN:
                return int(operand)
            case bpf.EQUAL:
                at += then if value == operand else otherwise
            case bpf.AT_LEAST:
                at += then if value >= operand else otherwise
            case bpf.ANY_BIT:
                at += then if value & operand else otherwise


@pytest.mark.parametrize("machine", seccomp.ARCHITECTURES)
def test_the_filter_of_each_architecture(machine: str) -> None:
    """This machine runs one of them; the others are judged here."""
    program, pid = seccomp.program(machine, 77), 77
    assert program is not None
    abi, column = seccomp.ARCHITECTURES[machine], list(seccomp.ARCHITECTURES).index(machine)
    refused, allowed = seccomp.FAIL | errno.EPERM, seccomp.ALLOW
    numbers = {pair[column] for pair in seccomp.ALLOWED.values()} - {None}
    pairs = seccomp.MMAP, seccomp.MPROTECT, seccomp.MADVISE, seccomp.IOCTL, seccomp.KILL, seccomp.TGKILL
    special = {pair[column] for pair in pairs}
    for number in range(600):
        expected = seccomp.FAIL | errno.ENOSYS if number == seccomp.CLONE3 else refused
        if number not in special:
            assert judge(program, abi, number) == (allowed if number in numbers else expected)
        assert judge(program, 0x40000003, number) == refused
        assert judge(program, abi, number + seccomp.X32_BIT) == refused
    assert judge(program, abi, -1) == refused
    for pair in (seccomp.MMAP, seccomp.MPROTECT):
        assert judge(program, abi, pair[column], (0, 4096, 3)) == allowed
        assert judge(program, abi, pair[column], (0, 4096, 5)) == refused
    assert judge(program, abi, seccomp.MADVISE[column], (0, 4096, 4)) == allowed
    assert judge(program, abi, seccomp.MADVISE[column], (0, 4096, 101)) == refused
    assert judge(program, abi, seccomp.IOCTL[column], (3, seccomp.FIONBIO)) == allowed
    assert judge(program, abi, seccomp.IOCTL[column], (3, 0x5412)) == refused  # TIOCSTI
    for pair in (seccomp.KILL, seccomp.TGKILL):
        assert judge(program, abi, pair[column], (pid, pid, 6)) == allowed
        assert judge(program, abi, pair[column], (pid + 1, pid, 6)) == refused
        assert judge(program, abi, pair[column], (2**64 - 1, 6)) == refused
    assert seccomp.program("riscv64", pid) is None


def test_a_log_in_a_file_goes_on(tmp_path: Path) -> None:
    """No file may grow but the one that the server writes its log to."""
    log = tmp_path / "log"
    with log.open("wb") as file:
        subprocess.run(
            [sys.executable, "-m", "tests.runtime.sandboxed", "log an exception"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=file,
            check=True,
        )
    assert "RuntimeError: for the log" in log.read_text()
