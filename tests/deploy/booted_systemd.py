"""A real systemd in namespaces of its own, as PID 1, with the units of deploy/systemd and none of this machine's.

It has its own /etc, /run, /var/lib and control group; the project lies at /opt/transcriber as on an operator's machine.
The network is this machine's. Wants root.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.process import ROOT

UNITS = ROOT / "deploy/systemd"
PROGRAM = Path("/lib/systemd/systemd")
BOOT_S, WITHIN_S = 20.0, 60.0
MILESTONES = ("boot", "sysinit", "basic", "shutdown", "network-online", "multi-user")
BOOT = """
set -e
mount --make-rprivate /
for point in /run /var/lib /opt; do mount -t tmpfs -o mode=755 tmpfs $point; done
awk '$2 ~ "^/sys/fs/cgroup" {print $2}' /proc/mounts | sort -r | xargs -r -n 1 umount -l
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /opt/transcriber /opt/python /opt/packages
mount --bind "$ROOT" /opt/transcriber
mount --bind "$PYTHON" /opt/python
mount --bind "$PACKAGES" /opt/packages
mount --bind "$FOLDER/program" /opt/transcriber/.venv/bin/transcriber
mount --bind "$FOLDER/etc" /etc
systemd-sysusers "$ROOT/deploy/systemd/transcriber.sysusers"
mount --make-rshared /  # in here: credentials come by a mount that spreads
exec env -i PATH="$PATH" container=other SYSTEMD_UNIT_PATH=/etc/booted SYSTEMD_GENERATOR_PATH=/nonexistent \
  /lib/systemd/systemd --system --unit=boot.target --log-target=console --log-level=warning
"""
RUN = """#!/bin/sh
export PYTHONPATH=/opt/transcriber:/opt/packages PYTHONDONTWRITEBYTECODE=1 LD_LIBRARY_PATH=/opt/python/lib
exec /opt/python/bin/python3 -m transcriber "$@"
"""
LOGGED = "[Service]\nStandardOutput=append:{folder}/{unit}.log\nStandardError=inherit\n"


class CannotBoot(Exception):
    """Why systemd cannot be run here."""


class Systemd:
    """The running one. `folder` holds its /etc, and a log for each kind of unit."""

    def __init__(self, folder: Path, pid: int) -> None:
        self.folder = folder
        self._pid = pid

    @property
    def settings(self) -> Path:
        """/etc/transcriber."""
        return self.folder / "etc/transcriber"

    def secret(self, name: str, text: str) -> None:
        """Write a file that only root may read."""
        file = self.settings / name
        file.write_text(text)
        file.chmod(0o600)

    def log(self, unit: str) -> str:
        """What the units of a kind have written: `transcriber@.service`."""
        file = self.folder / f"{unit}.log"
        return file.read_text() if file.exists() else ""

    def inside(self, *argv: str) -> tuple[str, ...]:
        """A command as it is run in there."""
        return ("nsenter", "--target", str(self._pid), "--mount", "--pid", *argv)

    async def run(self, *argv: str) -> tuple[int | None, str]:
        """Exit status and all output of a command in there."""
        child = await asyncio.create_subprocess_exec(
            *self.inside(*argv), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await asyncio.wait_for(child.communicate(), WITHIN_S)
        return child.returncode, out.decode()

    async def systemctl(self, *words: str) -> str:
        """It must succeed."""
        status, out = await self.run("systemctl", *words)
        assert status == 0, f"{words}: {out}{self.log('transcriber@.service')[-2000:]}"
        return out.strip()

    async def show(self, unit: str, what: str) -> str:
        """One property."""
        return await self.systemctl("show", "--value", "--property", what, unit)

    async def processes(self, unit: str) -> list[dict[str, str]]:
        """/proc/PID/status of each process of a unit."""
        group = await self.show(unit, "ControlGroup")
        _, pids = await self.run("cat", f"/sys/fs/cgroup{group}/cgroup.procs")
        texts = [(await self.run("cat", f"/proc/{pid}/status"))[1] for pid in pids.split()]
        return [dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line) for text in texts]


@contextmanager
def booted(folder: Path) -> Iterator[Systemd]:
    """Raises CannotBoot."""
    if os.geteuid() != 0 or not PROGRAM.exists() or shutil.which("nsenter") is None:
        raise CannotBoot("it wants root, systemd and util-linux")
    _install(folder)
    group = _own_group()
    group.mkdir()
    environment = os.environ | {
        "ROOT": str(ROOT),
        "FOLDER": str(folder),
        "PYTHON": sys.base_prefix,
        "PACKAGES": sysconfig.get_path("purelib"),
    }
    spaces = ("--pid", "--mount", "--uts", "--ipc", "--cgroup", "--fork", "--mount-proc", "--kill-child")
    enter = 'echo $$ > "$0/cgroup.procs"; exec unshare "$@"'
    with (folder / "console").open("wb") as console:
        unshare = subprocess.Popen(
            ["sh", "-c", enter, str(group), *spaces, "bash", "-c", BOOT],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            env=environment,
        )
        try:
            yield Systemd(folder, _until_running(unshare, folder))
        finally:
            unshare.kill()
            unshare.wait(WITHIN_S)
            _remove(group)


def _install(folder: Path) -> None:
    """The files where an operator puts them; units log to files, as there is no journal."""
    shutil.copytree("/etc", folder / "etc", symlinks=True, ignore=shutil.ignore_patterns("transcriber"))
    units, settings = folder / "etc/booted", folder / "etc/transcriber"
    units.mkdir()
    settings.mkdir()
    for name in MILESTONES:
        (units / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    for unit in (*UNITS.glob("*.service"), UNITS / "transcriber.target"):
        shutil.copy(unit, units)
        if unit.suffix == ".service":
            (units / f"{unit.name}.d").mkdir()
            (units / f"{unit.name}.d/log.conf").write_text(LOGGED.format(folder=folder, unit=unit.name))
    shutil.copy(UNITS / "transcriber.toml", settings)
    (folder / "program").write_text(RUN)
    (folder / "program").chmod(0o755)


def _own_group() -> Path:
    """A control group of version 2 for what runs in there."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    points = [point for _, point, kind, *_ in mounts if kind == "cgroup2" and point.startswith("/sys/fs/cgroup")]
    if not points:
        raise CannotBoot("there are no control groups of version 2")
    own = next(line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    return Path(points[0]) / own.strip("/") / f"transcriber-test-{os.getpid()}"


def _until_running(unshare: "subprocess.Popen[bytes]", folder: Path) -> int:
    """The PID of systemd as seen from here, once it takes commands."""
    children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children")
    deadline = time.monotonic() + BOOT_S
    while time.monotonic() < deadline and unshare.poll() is None:
        pids = children.read_text().split()
        if pids:
            argv = Systemd(folder, int(pids[0])).inside("systemctl", "is-active", "boot.target")
            if subprocess.run(argv, capture_output=True, timeout=BOOT_S).stdout == b"active\n":
                return int(pids[0])
        time.sleep(0.05)
    raise CannotBoot((folder / "console").read_text(errors="replace")[-500:])


def _remove(group: Path) -> None:
    """With all groups below it, as soon as their processes have gone."""
    deadline = time.monotonic() + WITHIN_S
    while group.exists():
        for folder in sorted((path for path in (group, *group.rglob("*")) if path.is_dir()), reverse=True):
            with suppress(OSError):
                folder.rmdir()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{group} is still in use")
        time.sleep(0.02)
