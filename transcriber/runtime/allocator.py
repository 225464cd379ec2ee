"""Makes the server run on mimalloc, a memory allocator on which decoding costs less.

Decoding makes and frees small pieces by the million, from several threads; in the C library's malloc that is a third of
its CPU. The allocator of a program is fixed while it is loaded, so the server starts itself once more, under the same
process id, before anything large is imported.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

PRELOAD_VARIABLE = "LD_PRELOAD"
LIBRARY = "cmeel.prefix/lib/libmimalloc.so"


def restart_on_mimalloc() -> None:
    """Start this program again on mimalloc, unless it runs on it, cannot, or was started with an LD_PRELOAD.

    The variable is removed again: child processes choose for themselves.
    """
    ours, chosen = mimalloc_path(), os.environ.get(PRELOAD_VARIABLE)
    if ours is None or chosen not in (None, ours):
        return
    if chosen == ours:
        del os.environ[PRELOAD_VARIABLE]
        return
    os.execve(sys.executable, sys.orig_argv, {**os.environ, PRELOAD_VARIABLE: ours})  # noqa: S606 - ourselves


def in_use() -> bool:
    """Whether this process runs on mimalloc."""
    return "libmimalloc" in Path("/proc/self/maps").read_text(errors="replace")


def mimalloc_path() -> str | None:
    """The library's path; None where it is not installed, or where LD_PRELOAD cannot hold its path."""
    package = find_spec("cmeel")
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).parents[1] / LIBRARY
    return str(path) if path.is_file() and not set(" :") & set(str(path)) else None
