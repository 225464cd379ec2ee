"""The allocator of decoding processes: a library that cannot be loaded is left out and named, on the real loader."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process import program, wait_for_line
from transcriber.runtime import allocator

MIMALLOC = allocator.mimalloc_path()
WITHOUT_LIBATOMIC = (
    *("unshare", "--mount", "--propagation", "private", "sh", "-c"),
    'for f in $(ldconfig -p | grep -o "/[^ ]*libatomic.so.1$" | xargs -r readlink -f); do '
    'mount --bind /dev/null "$f" || exit 77; done; exec "$@"',
    "sh",
)
"""Runs a program that sees an empty file where libatomic is: the loader refuses it as it does a missing one."""


def hides_libatomic() -> bool:
    """Whether this user may make mounts of its own."""
    try:
        return subprocess.run([*WITHOUT_LIBATOMIC, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def test_mimalloc_is_preloaded_where_it_can_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(allocator.PRELOAD_VARIABLE, raising=False)
    assert MIMALLOC is not None
    assert allocator.fault_of(MIMALLOC) == ""
    assert allocator.environment() == {allocator.PRELOAD_VARIABLE: MIMALLOC}
    assert allocator.shortfall() == ""


def test_a_preload_from_outside_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(allocator.PRELOAD_VARIABLE, "")
    assert allocator.environment() == {allocator.PRELOAD_VARIABLE: ""}
    assert allocator.shortfall() == allocator.NOT_INSTALLED


def test_what_is_no_library_is_not_preloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(allocator.PRELOAD_VARIABLE, raising=False)
    damaged = tmp_path / "libmimalloc.so"
    damaged.write_bytes(b"\x7fELF damaged")
    monkeypatch.setattr(allocator, "mimalloc_path", lambda: str(damaged))
    assert allocator.environment() == {}
    assert "libmimalloc.so" in allocator.shortfall()


def test_a_missing_library_is_named(tmp_path: Path) -> None:
    """A copy of the library whose name for libatomic is another's: the loader's own words for a missing one."""
    assert MIMALLOC is not None
    image = Path(MIMALLOC).read_bytes()
    assert b"libatomic.so.1" in image
    copy = tmp_path / "libmimalloc.so"
    copy.write_bytes(image.replace(b"libatomic.so.1", b"libabsent.so.1"))
    assert allocator.fault_of(str(copy)).startswith("libabsent.so.1: cannot open shared object file")


@pytest.mark.skipif(not hides_libatomic(), reason="libatomic cannot be hidden here: no mounts of one's own")
async def test_a_server_without_libatomic_runs_on_the_c_library_and_says_so(tmp_path: Path) -> None:
    serve = (sys.executable, "-m", "transcriber", "serve", "--port", "0", "--data-dir", str(tmp_path))
    async with program(*WITHOUT_LIBATOMIC, *serve) as child:
        said = await wait_for_line(child, b"memory: ")
        await wait_for_line(child, b"ready on ")
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 20) == 0
    assert b"mimalloc cannot be loaded" in said
    assert b"the package libatomic1 has it" in said
