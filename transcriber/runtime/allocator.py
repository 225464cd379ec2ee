"""The memory allocator that a decoding process runs on: mimalloc, on which decoding costs less.

Decoding makes and frees small pieces by the million; in the C library's malloc that is a third of its CPU. The
allocator of a program is fixed while it is loaded, so it is chosen by the environment that the program is started with.
A library that the loader cannot load would end the program there, so it is tried in a child first.
"""

import os
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PRELOAD_VARIABLE = "LD_PRELOAD"
LIBRARY = "cmeel.prefix/lib/libmimalloc.so"
TRY_WITHIN_S = 10.0
NOT_INSTALLED = "with mimalloc (package cmeel-mimalloc) decoding costs less"
_TRIAL = "import ctypes, sys; ctypes.CDLL(sys.argv[1])"


def environment() -> dict[str, str]:
    """What to start a decoding process with: an LD_PRELOAD that this process was given counts, an empty one, too."""
    given = os.environ.get(PRELOAD_VARIABLE)
    if given is not None:
        return {PRELOAD_VARIABLE: given}
    path = mimalloc_path()
    return {} if path is None or fault_of(path) else {PRELOAD_VARIABLE: path}


def shortfall() -> str:
    """Why decoding processes are not started on mimalloc, and what helps; empty when they are. Blocks."""
    if "libmimalloc" in environment().get(PRELOAD_VARIABLE, ""):
        return ""
    path = mimalloc_path()
    fault = fault_of(path) if path and PRELOAD_VARIABLE not in os.environ else ""
    return f"mimalloc cannot be loaded ({fault})" if fault else NOT_INSTALLED


@cache
def fault_of(library: str) -> str:
    """Why a program cannot be started with this library; empty: it can. Tried once, in a child; blocks for 20 ms."""
    command = [sys.executable, "-I", "-S", "-c", _TRIAL, library]
    try:
        done = subprocess.run(command, capture_output=True, timeout=TRY_WITHIN_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    reason = said[-1].removeprefix("OSError: ") if said else f"the trial ended with status {done.returncode}"
    return f"{reason}; the package libatomic1 has it" if "libatomic.so.1" in reason else reason


def mimalloc_path() -> str | None:
    """The library's path; None where it is not installed, or where LD_PRELOAD cannot hold its path."""
    package = find_spec("cmeel")
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).parents[1] / LIBRARY
    return str(path) if path.is_file() and not set(" :") & set(str(path)) else None
