"""The container image, built by `make image`'s script, and containers of it, run by podman."""

import asyncio
import os
import resource
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.process import ROOT, WITHIN_S, program

PROGRAMS = ("buildah", "podman", "crun", "unshare")
BUILD_S = 900

# crun refuses a machine that has both versions of cgroups: in a mount namespace of their own containers see the first
# one alone. They join no cgroup of theirs, as making one may be forbidden.
_OWN_MOUNTS = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"'
_UNSHARED = ("unshare", "--mount", "--propagation", "private", "sh", "-c", _OWN_MOUNTS, "podman")
PODMAN = (*_UNSHARED, "podman", "--runtime", "crun", "--cgroup-manager", "cgroupfs", "--events-backend", "none")


def _limit(name: str, number: int, most: int) -> str:
    """podman's own limits may be above what this process may set."""
    hard = resource.getrlimit(number)[1]
    value = most if hard == resource.RLIM_INFINITY else min(hard, most)
    return f"--ulimit={name}={value}:{value}"


STRICT = (
    "--read-only",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--cgroups=disabled",
    "--network=host",
    "--no-healthcheck",
    _limit("nofile", resource.RLIMIT_NOFILE, 65536),
    _limit("nproc", resource.RLIMIT_NPROC, 4096),
)


def build() -> str:
    """The image's name. Skips where containers cannot be."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not here: make image-test")
    if os.geteuid() != 0:
        pytest.skip("containers without cgroups want root")
    done = subprocess.run(
        [ROOT / "deploy/image/build.sh"],
        env=os.environ | {"BUILDER": "buildah"},
        capture_output=True,
        text=True,
        timeout=BUILD_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


async def podman(*argv: str) -> str:
    """What a command of podman writes; it must succeed."""
    async with program(*PODMAN, *argv) as child:
        out, _ = await asyncio.wait_for(child.communicate(), 2 * WITHIN_S)
    assert child.returncode == 0, out.decode()
    return out.decode()


@dataclass(frozen=True, slots=True)
class Container:
    """`child` is podman: its output is that of the container, and so is its exit status."""

    name: str
    child: asyncio.subprocess.Process

    async def run(self, *argv: str) -> str:
        """What a command within it writes; it must succeed."""
        return await podman("exec", self.name, *argv)

    async def stop(self) -> int | None:
        """SIGTERM; the exit status, 137 after 60 s."""
        await podman("stop", "--time", "60", self.name)
        return await asyncio.wait_for(self.child.wait(), WITHIN_S)


@asynccontextmanager
async def container(
    image: str,
    *argv: str,
    options: Sequence[str] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
    before: Sequence[str] = (),
) -> AsyncIterator[Container]:
    """A container with everything taken from it that can be; removed at the end. `before`: what podman is run by."""
    name = f"transcriber-{secrets.token_hex(4)}"
    variables = [f"--env={key}={value}" for key, value in environment.items()]
    async with program(*before, *PODMAN, "run", "--name", name, *STRICT, *options, *variables, image, *argv) as child:
        try:
            yield Container(name, child)
        finally:
            await podman("rm", "--force", "--time", "0", "--volumes", "--ignore", name)


async def wait_until_it_runs(found: Container) -> None:
    """Until its first process was started."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            async with program(*PODMAN, "inspect", "--format", "{{.State.Status}}", found.name) as child:
                out, _ = await child.communicate()
            if out.strip() in {b"running", b"exited"}:
                return


def archive(image: str, file: Path) -> int:
    """Bytes of the image with its layers compressed, as a registry stores it; `file` is written."""
    subprocess.run(
        ["buildah", "push", "--quiet", "--format", "oci", image, f"oci-archive:{file}"], check=True, timeout=BUILD_S
    )
    return file.stat().st_size
