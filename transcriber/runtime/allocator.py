"""The memory allocator that a decoding process runs on: mimalloc, on which decoding costs less.

Decoding makes and frees small pieces by the million; in the C library's malloc that is a third of its CPU. The
allocator of a program is fixed while it is loaded, so it is chosen by the environment that the program is started with.
"""

import os
from importlib.util import find_spec
from pathlib import Path

PRELOAD_VARIABLE = "LD_PRELOAD"
LIBRARY = "cmeel.prefix/lib/libmimalloc.so"


def environment() -> dict[str, str]:
    """What to start a decoding process with: an LD_PRELOAD that this process was given counts, an empty one, too."""
    chosen = os.environ.get(PRELOAD_VARIABLE, mimalloc_path())
    return {} if chosen is None else {PRELOAD_VARIABLE: chosen}


def available() -> bool:
    """Whether decoding processes are started on mimalloc."""
    return "libmimalloc" in environment().get(PRELOAD_VARIABLE, "")


def mimalloc_path() -> str | None:
    """The library's path; None where it is not installed, or where LD_PRELOAD cannot hold its path."""
    package = find_spec("cmeel")
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).parents[1] / LIBRARY
    return str(path) if path.is_file() and not set(" :") & set(str(path)) else None
