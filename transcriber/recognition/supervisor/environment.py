"""What of the server's environment the process of a model is given."""

import os
from pathlib import Path

import transcriber
from transcriber.runtime import allocator

INHERITED = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
INHERITED_PREFIXES = ("LC_", "PYTHON", "OPENBLAS_", "MIMALLOC_", "MALLOC_")


def environment() -> dict[str, str]:
    """None of the server's secrets, which are none of a decoder's business; this package, and a cheap allocator."""
    kept = {
        name: value for name, value in os.environ.items() if name in INHERITED or name.startswith(INHERITED_PREFIXES)
    }
    path = (str(Path(transcriber.__file__).parents[1]), kept.get("PYTHONPATH", ""))
    return allocator.environment() | kept | {"PYTHONPATH": os.pathsep.join(filter(None, path))}
