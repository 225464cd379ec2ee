"""A real control group with a CPU quota, for tests of what a container may use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CPU_TREE = Path("/sys/fs/cgroup/cpu")


@contextmanager
def half_a_core() -> Iterator[str]:
    """A Python statement that puts the process that runs it into a group of version 1 with half a core."""
    group = CPU_TREE / f"transcriber-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here ({error.strerror})")
    try:
        (group / "cpu.cfs_period_us").write_text("100000")
        (group / "cpu.cfs_quota_us").write_text("50000")
        yield f"open({str(group / 'cgroup.procs')!r}, 'w').write('0')"
    finally:
        for pid in (group / "cgroup.procs").read_text().split():  # children that end a little later
            (CPU_TREE / "cgroup.procs").write_text(pid)
        group.rmdir()
