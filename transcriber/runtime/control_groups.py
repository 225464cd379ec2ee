"""What the control groups of a process allow it: containers, systemd units and batch systems limit programs by them.

Version 1 has a tree of groups for each controller, version 2 one tree for all; a machine may have both (hybrid). A
limit of a group holds for all groups below it, so each group from the process's own up to the top that can be seen is
read. Formats: cgroups(7), proc_pid_mountinfo(5), the kernel's cgroup-v1/memory.rst and cgroup-v2.rst.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

UNLIMITED = 1 << 62
"""Bytes; version 1 writes almost 2^63 where there is no limit."""
VERSION_2 = "cgroup2"


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """One group: its limit and what it uses without the file cache that would be given back, in bytes."""

    limit: int
    used: int


@dataclass(frozen=True, slots=True)
class ControlGroups:
    """The folders of the groups of a process, its own first, by controller."""

    cpu: tuple[Path, ...] = ()
    memory: tuple[Path, ...] = ()

    @classmethod
    def of_process(cls, proc: Path = Path("/proc/self"), root: Path = Path("/")) -> "ControlGroups":
        """Those that the process's files in `proc` name, found below `root`; none where there are none to be read."""
        try:
            named = dict(_named_groups((proc / "cgroup").read_text()))
            mounts = list(_mounts((proc / "mountinfo").read_text()))
        except OSError:
            return cls()
        folders: dict[str, tuple[Path, ...]] = {"cpu": (), "memory": ()}
        for mount in mounts:
            for controller in folders:
                key = "" if mount.kind == VERSION_2 else controller
                if key in named and (mount.kind == VERSION_2 or controller in mount.options):
                    folders[controller] += tuple(mount.folders(PurePosixPath(named[key]), root))
        return cls(**folders)

    def cpu_cores(self) -> float | None:
        """The tightest quota, in cores; None: no quota."""
        return min(filter(None, map(_cores, self.cpu)), default=None)

    def memory_bytes(self) -> int | None:
        """The tightest limit; None: no limit."""
        limits = [group.limit for group in self._memory_groups()]
        return min(limits, default=None)

    def memory_room(self) -> int | None:
        """Bytes that may still be taken before the first of the groups is full; None: no limit."""
        return min((max(0, group.limit - group.used) for group in self._memory_groups()), default=None)

    def _memory_groups(self) -> Iterator[MemoryGroup]:
        for folder in self.memory:
            limit = _tightest(folder, "memory.max", "memory.high", "memory.limit_in_bytes")
            if limit < UNLIMITED:
                yield MemoryGroup(limit, _used(folder))


@dataclass(frozen=True, slots=True)
class _Mount:
    """Where a tree of groups is mounted: the group that is its top, and the folder that shows it."""

    top: PurePosixPath
    point: str
    kind: str
    options: frozenset[str]

    def folders(self, group: PurePosixPath, root: Path) -> Iterator[Path]:
        """Of the group and those above it, up to the top. A group outside the mounted part is taken for the top."""
        inside = group.relative_to(self.top) if group.is_relative_to(self.top) else PurePosixPath()
        inside = PurePosixPath() if ".." in inside.parts else inside
        top = root / self.point.lstrip("/")
        for path in (inside, *inside.parents) if inside.parts else (inside,):
            yield top / path


def _named_groups(text: str) -> Iterator[tuple[str, str]]:
    """(controller, group); version 2 has no controller's name: ''."""
    for line in text.splitlines():
        _, controllers, group = line.split(":", 2)
        yield from ((controller, group) for controller in controllers.split(","))


def _mounts(text: str) -> Iterator[_Mount]:
    for line in text.splitlines():
        front, separator, back = line.partition(" - ")
        fields, about = front.split(" "), back.split(" ")
        if separator and about[0] in ("cgroup", VERSION_2):
            top, point = (_unescaped(field) for field in fields[3:5])
            yield _Mount(PurePosixPath(top), point, about[0], frozenset(about[-1].split(",")))


def _unescaped(field: str) -> str:
    """Spaces and the like stand as three octal digits behind a backslash."""
    return field.encode("latin-1", "backslashreplace").decode("unicode_escape") if "\\" in field else field


def _cores(folder: Path) -> float | None:
    """Of `cpu.max` (`quota period` in microseconds, or `max period`), or of version 1's two files (-1: none)."""
    text = _read(folder / "cpu.max") or f"{_read(folder / 'cpu.cfs_quota_us')} {_read(folder / 'cpu.cfs_period_us')}"
    numbers = [_number(field) for field in text.split()]
    match numbers:
        case [int(quota), int(period)] if quota > 0 and period > 0:
            return quota / period
    return None


def _used(folder: Path) -> int:
    """Without inactive file cache: the kernel gives that back before it kills."""
    used = _number(_read(folder / "memory.current") or _read(folder / "memory.usage_in_bytes")) or 0
    fields = dict(_pairs(_read(folder / "memory.stat").splitlines()))
    cache = fields.get("total_inactive_file", fields.get("inactive_file", 0))
    return max(0, used - cache)


def _pairs(lines: Iterable[str]) -> Iterator[tuple[str, int]]:
    for line in lines:
        name, _, value = line.partition(" ")
        yield name, _number(value) or 0


def _tightest(folder: Path, *names: str) -> int:
    found = (_number(_read(folder / name)) for name in names)
    return min((limit for limit in found if limit is not None), default=UNLIMITED)


def _number(text: str) -> int | None:
    """None for `max` and for what is not there."""
    text = text.strip()
    return int(text) if text.removeprefix("-").isdecimal() else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
