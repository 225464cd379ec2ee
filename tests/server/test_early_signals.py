"""A container is stopped while its server starts: the first process of a pid namespace ends by SIGTERM and SIGINT."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.process import program, wait_until_ready

UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
DELAYS_S = [tenths / 10 for tenths in range(16)]


def makes_namespaces() -> bool:
    """Whether this user may."""
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


needs_namespaces = pytest.mark.skipif(not makes_namespaces(), reason="pid namespaces cannot be made here")


async def obeys_sigterm(child: asyncio.subprocess.Process) -> psutil.Process:
    """The first process of the namespace, once it has a handler for SIGTERM: before, the kernel drops it."""
    async with asyncio.timeout(20):
        while True:
            for process in psutil.Process(child.pid).children():
                if caught_signals(process.pid) >> signal.SIGTERM - 1 & 1:
                    return process
            await asyncio.sleep(0.005)


def caught_signals(pid: int) -> int:
    """A bit for each, the lowest for signal 1."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("SigCgt:")[1].split()[0], 16)


@needs_namespaces
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("delay_s", DELAYS_S)
async def test_the_first_process_of_a_container_ends_whenever_it_is_told(
    tmp_path: Path, delay_s: float, number: signal.Signals
) -> None:
    serve = (sys.executable, "-m", "transcriber", "serve", "--port", "0", "--data-dir", str(tmp_path))
    async with program(*UNSHARE, *serve) as child:
        first = await obeys_sigterm(child)
        await asyncio.sleep(delay_s)
        os.kill(first.pid, number)
        out, _ = await asyncio.wait_for(child.communicate(), 30)
    assert child.returncode in (0, 128 + number), out
    assert b"Traceback" not in out


@needs_namespaces
async def test_a_command_that_takes_no_signals_ends_too() -> None:
    """An init container that pulls a model is one."""
    slow = "cli.main = lambda **_: time.sleep(60)"
    code = f"import time, transcriber.__main__ as program, transcriber.cli.main as cli; {slow}; program.main()"
    async with program(*UNSHARE, sys.executable, "-c", code) as child:
        first = await obeys_sigterm(child)
        os.kill(first.pid, signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 20) == 128 + signal.SIGTERM


async def test_outside_of_a_container_sigterm_ends_a_start_as_ever(tmp_path: Path) -> None:
    serve = (sys.executable, "-m", "transcriber", "serve", "--port", "0", "--data-dir", str(tmp_path))
    async with program(*serve) as child:
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 20) == -signal.SIGTERM
    async with program(*serve) as child:
        await wait_until_ready(child)
        child.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(child.wait(), 20) == 0
