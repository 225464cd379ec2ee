"""Chooses the code that the decoder's matrix library runs on this processor; to be called before vosk is loaded.

The OpenBLAS inside vosk chooses by the processor's model, and takes any model younger than itself for one of 2004
(SSE3). What a processor can do stands in its flags, so the choice is made by these. OpenBLAS must not start threads
either: the decode scheduler has the threads.
"""

import logging
import os
import platform
from collections.abc import Set
from pathlib import Path

log = logging.getLogger(__name__)
AVX2 = frozenset({"avx2", "fma"})
CPU_INFO = Path("/proc/cpuinfo")


def configure_openblas() -> None:
    """Set its environment variables, unless they were set when the process was started."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if (kernels := kernels_for(_flags())) is not None:
        os.environ.setdefault("OPENBLAS_CORETYPE", kernels)


def kernels_for(flags: Set[str]) -> str | None:
    """OpenBLAS's name of the kernels for a processor with these flags; None: its own choice is as good.

    Never those for AVX-512: they round otherwise, so that the words would depend on the processor's maker.
    """
    return "Haswell" if flags >= AVX2 else None


def _flags() -> Set[str]:
    if platform.machine() != "x86_64":
        return frozenset()
    try:
        lines = CPU_INFO.read_text(errors="replace").splitlines()
    except OSError as error:  # systemd's ProcSubset=pid hides it
        log.warning("%s cannot be read (%s): decoding may cost more CPU", CPU_INFO, error.strerror)
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith("flags")), "").split())
