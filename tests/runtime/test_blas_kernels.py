"""Which kernels are asked for, by what the processor can do; what whoever starts us asks for counts."""

import os
import platform
from pathlib import Path

import pytest

from transcriber.runtime import blas_kernels


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("sse2 ssse3 avx", None),
        ("avx avx2", None),
        ("avx avx2 fma", "Haswell"),
        ("avx avx2 fma avx512f", "Haswell"),
        ("avx avx2 fma avx512f avx512cd avx512bw avx512dq avx512vl avx512_bf16", "Haswell"),
    ],
)
def test_the_same_for_every_processor_that_can_run_them(flags: str, name: str | None) -> None:
    assert blas_kernels.kernels_for(frozenset(flags.split())) == name


def test_what_is_asked_for_from_outside_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Sandybridge")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    blas_kernels.configure_openblas()
    assert os.environ["OPENBLAS_CORETYPE"] == "Sandybridge"
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2"


def test_a_processor_that_cannot_be_looked_at_gets_openblas_own_choice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(blas_kernels, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "kept by the test")
    monkeypatch.delenv("OPENBLAS_CORETYPE")
    blas_kernels.configure_openblas()
    assert "OPENBLAS_CORETYPE" not in os.environ
    assert "cannot be read (No such file or directory): decoding may cost more CPU" in caplog.text
