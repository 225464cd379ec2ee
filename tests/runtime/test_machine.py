"""What a container may use: control groups of both versions as files, and a real group where one can be made."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.control_group import half_a_core
from transcriber.runtime.control_groups import ControlGroups
from transcriber.runtime.machine import Share

V2 = "30 23 0:27 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup rw,nsdelegate\n"
V1 = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 {top} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
)
HYBRID = V1 + "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
V1_GROUPS = "5:memory:{group}\n4:cpu,cpuacct:{group}\n1:name=systemd:{group}\n0::/\n"
NO_LIMIT_V1 = str((1 << 63) - 4096)


def groups(tmp_path: Path, *, named: str, mounts: str, files: Mapping[str, str]) -> ControlGroups:
    """Of a process whose machine has these files below /sys/fs/cgroup."""
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "cgroup").write_text(named)
    (proc / "mountinfo").write_text(f"23 1 8:1 / / rw - ext4 /dev/sda rw\n{mounts}")
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return ControlGroups.of_process(proc, tmp_path)


def test_version_2_with_the_limits_in_the_container_s_own_group(tmp_path: Path) -> None:
    files = {
        "cpu.max": "50000 100000",
        "memory.max": "1000000000",
        "memory.high": "max",
        "memory.current": "700000000",
        "memory.stat": "anon 5\ninactive_file 200000000\nactive_file 1",
    }
    found = groups(tmp_path, named="0::/\n", mounts=V2, files=files)
    assert (found.cpu_cores(), found.memory_bytes(), found.memory_room()) == (0.5, 10**9, 5 * 10**8)


@pytest.mark.parametrize(
    ("own", "above", "cores"),
    [("max 100000", "max 100000", None), ("max 100000", "150000 100000", 1.5), ("400000 100000", "20000 10000", 2.0)],
)
def test_the_tightest_group_up_the_tree_counts(tmp_path: Path, own: str, above: str, cores: float | None) -> None:
    files = {
        "kubepods.slice/pod1/c1/cpu.max": own,
        "kubepods.slice/pod1/cpu.max": above,
        "kubepods.slice/pod1/c1/memory.max": "max",
        "kubepods.slice/pod1/memory.max": "4000",
        "kubepods.slice/pod1/memory.current": "1000",
        "kubepods.slice/memory.high": "3000",
        "kubepods.slice/memory.current": "2900",
    }
    found = groups(tmp_path, named="0::/kubepods.slice/pod1/c1\n", mounts=V2, files=files)
    assert found.cpu_cores() == cores
    assert (found.memory_bytes(), found.memory_room()) == (3000, 100)


@pytest.mark.parametrize("mounts", [V1, HYBRID])
@pytest.mark.parametrize(
    ("top", "group", "below"), [("/", "/docker/c1", "docker/c1/"), ("/docker/c1", "/docker/c1", "")]
)
def test_version_1_and_both_at_once(tmp_path: Path, mounts: str, top: str, group: str, below: str) -> None:
    """The tree as the machine sees it, and as a container does whose own group is mounted as the top."""
    files = {
        f"cpu,cpuacct/{below}cpu.cfs_quota_us": "250000",
        f"cpu,cpuacct/{below}cpu.cfs_period_us": "100000",
        f"memory/{below}memory.limit_in_bytes": "2000",
        f"memory/{below}memory.usage_in_bytes": "1500",
        f"memory/{below}memory.stat": "inactive_file 100\ntotal_inactive_file 700",
        "unified/cgroup.procs": "1",
    }
    named, mounts = V1_GROUPS.format(group=group), mounts.format(top=top)
    found = groups(tmp_path, named=named, mounts=mounts, files=files)
    assert (found.cpu_cores(), found.memory_bytes(), found.memory_room()) == (2.5, 2000, 1200)


def test_no_limit_of_version_1_is_none(tmp_path: Path) -> None:
    files = {
        "cpu,cpuacct/cpu.cfs_quota_us": "-1",
        "cpu,cpuacct/cpu.cfs_period_us": "100000",
        "memory/memory.limit_in_bytes": NO_LIMIT_V1,
    }
    found = groups(tmp_path, named=V1_GROUPS.format(group="/"), mounts=V1.format(top="/"), files=files)
    assert (found.cpu_cores(), found.memory_bytes(), found.memory_room()) == (None, None, None)


@pytest.mark.parametrize("group", ["/", "/../other", "/elsewhere"])
def test_a_group_that_is_not_to_be_seen_from_here_is_taken_for_the_top(tmp_path: Path, group: str) -> None:
    mounts = V2.replace(" / /sys", " /pods/c1 /sys")
    found = groups(tmp_path, named=f"0::{group}\n", mounts=mounts, files={"cpu.max": "100000 100000"})
    assert found.cpu_cores() == 1.0


def test_a_machine_without_control_groups_has_no_limit(tmp_path: Path) -> None:
    assert ControlGroups.of_process(tmp_path / "nothing", tmp_path).cpu_cores() is None
    assert groups(tmp_path, named="0::/\n", mounts="", files={}).memory_bytes() is None


def test_a_limit_above_the_machine_is_no_limit_and_what_limits_is_said(tmp_path: Path) -> None:
    whole, allowed = ControlGroups(), len(os.sched_getaffinity(0))
    wide = groups(
        tmp_path, named="0::/\n", mounts=V2, files={"cpu.max": "99900000 100000", "memory.max": "1" + "0" * 18}
    )
    assert Share.now(wide) == Share.now(whole)
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("20000 100000\n")
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("300000000\n")
    tight = Share.now(wide)
    assert (tight.cores, tight.whole_cores, tight.memory, tight.affinity) == (0.2, 1, 300_000_000, allowed)
    cores, memory = tight.limits()[-2:]
    assert cores == f"0.2 of {os.cpu_count()} cores: the control group's CPU quota"
    assert memory.startswith("0.3 of ")


def test_a_real_quota_of_the_kernel() -> None:
    shown = "from transcriber.runtime.machine import *; print(cpu_cores(), whole_cores(), *Share.now().limits())"
    with half_a_core() as enter:
        program = [sys.executable, "-c", f"{enter}; {shown}"]
        out = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    assert out == f"0.5 1 0.5 of {os.cpu_count()} cores: the control group's CPU quota\n"
