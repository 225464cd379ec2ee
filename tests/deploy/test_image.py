"""The container image: small, and a whole server in it with nothing that a server does not need."""

import asyncio
import json
import re
import secrets
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import transcriber
from tests.deploy.container import STRICT, archive, build, container, podman, wait_until_it_runs
from tests.process import ROOT, command, process, program, wait_for_line, wait_until_ready
from transcriber.store.redis import binary

pytestmark = [pytest.mark.image, pytest.mark.timeout(900)]

MB = 1_000_000
TOKEN, KEY = "12345" * 6, "transcriber-key-of-this-test"
PUBLIC = "https://media.example.net"
CALLERS = {"TRANSCRIBER_TWILIO_AUTH_TOKEN": TOKEN, "TRANSCRIBER_PUBLIC_URL": PUBLIC}
INSECURE = "--env=TRANSCRIBER_INSECURE=1"
RANDOM_USER = "--user=1000670000:0"
"""As OpenShift gives them: any number, of the group 0."""


@pytest.fixture(scope="session")
def image() -> str:
    return build()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
async def environment(tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """A Redis, and what a server is told with it."""
    port = str(free_port())
    own = ("--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path))
    async with program(str(binary.find()), *own):
        yield {
            "TRANSCRIBER_REDIS_URL": f"redis://127.0.0.1:{port}/0",
            "TRANSCRIBER_HOST": "127.0.0.1",
            "TRANSCRIBER_PORT": str(free_port()),
        }


@pytest.fixture
def secrets_folder(tmp_path: Path) -> list[str]:
    """Options that give a container the secrets as files."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "token").write_text(TOKEN + "\n")
    (folder / "keys").write_text(KEY + "\n")
    return [
        f"--volume={folder}:/run/secrets:ro",
        "--env=TRANSCRIBER_TWILIO_AUTH_TOKEN_FILE=/run/secrets/token",
        "--env=TRANSCRIBER_API_KEYS_FILE=/run/secrets/keys",
        f"--env=TRANSCRIBER_PUBLIC_URL={PUBLIC}",
    ]


async def captions(url: str, key_file: Path) -> tuple[list[str], str]:
    """A sample call from outside: its finals, and the word error rate."""
    options = ("--url", url, "--api-key-file", str(key_file), "--speed", "0")
    status, said = await command("replay", *options, **CALLERS)
    assert status == 0, said
    rate = re.search(r"word error rate against the reference: (\S+ %)", said)
    assert rate is not None, said
    return sorted(line for line in said.splitlines() if re.match(r"\d+:\d\d", line.strip())), rate[1]


@pytest.mark.parametrize("user", ["--user=10001:10001", RANDOM_USER])
async def test_a_call_gives_the_same_text_as_outside(
    image: str, environment: dict[str, str], secrets_folder: list[str], tmp_path: Path, user: str
) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    key_file.chmod(0o600)
    async with container(image, options=[*secrets_folder, user], environment=environment) as inside:
        url = await wait_until_ready(inside.child)
        heard = await captions(url, key_file)
        await inside.run(*health(image))
        assert await inside.stop() == 0
    settings = {"TRANSCRIBER_TWILIO_AUTH_TOKEN": TOKEN, "TRANSCRIBER_API_KEYS": KEY, "TRANSCRIBER_PUBLIC_URL": PUBLIC}
    async with process("--data-dir", str(tmp_path / "data"), **settings) as outside:
        assert heard == await captions(await wait_until_ready(outside), key_file)
    assert float(heard[1].removesuffix(" %")) < 10


async def test_the_sandbox_of_workers_is_whole(image: str, environment: dict[str, str]) -> None:
    """The filter of system calls, too, under the container's own."""
    async with container(image, "check", options=[INSECURE], environment=environment) as checking:
        out, _ = await checking.child.communicate()
    lines = [line for line in out.decode().splitlines() if line.startswith("ok     workers: ")]
    assert len(lines) == 1, out.decode()
    assert "system calls filtered" in lines[0]
    assert "not in force" not in lines[0]


@pytest.mark.parametrize("after_s", [0, 0.1, 0.2, 0.4, 0.8])
async def test_sigterm_while_it_starts(image: str, environment: dict[str, str], after_s: float) -> None:
    async with container(image, options=[INSECURE], environment=environment) as starting:
        await wait_until_it_runs(starting)
        await asyncio.sleep(after_s)
        assert await starting.stop() in {0, 128 + signal.SIGTERM}


async def test_no_folder_is_written_to_but_data(image: str, environment: dict[str, str]) -> None:
    """There is no /tmp to write to either."""
    async with container(image, options=[INSECURE, "--read-only-tmpfs=false"], environment=environment) as inside:
        url = await wait_until_ready(inside.child)
        status, said = await command("replay", "--url", url, "--speed", "0")
        assert status == 0, said
        assert await inside.stop() == 0


async def test_a_limit_of_cpu_is_seen(image: str, environment: dict[str, str], half_a_core: list[str]) -> None:
    async with container(image, options=[INSECURE], environment=environment, before=half_a_core) as inside:
        lines = [await wait_for_line(inside.child, b"0.5 of")]
        assert await inside.stop() == 0
    assert b"core" in lines[0]


@pytest.fixture
def half_a_core() -> Iterator[list[str]]:
    """What a program is started by to get half a core: a cgroup, of whichever version this machine has for CPU."""
    name = f"transcriber-{secrets.token_hex(4)}"
    first, second = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
    group = (first if first.is_dir() else second) / name
    try:
        group.mkdir()
        if first.is_dir():
            (group / "cpu.cfs_period_us").write_text("100000")
            (group / "cpu.cfs_quota_us").write_text("50000")
        else:
            (group / "cpu.max").write_text("50000 100000")
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    yield ["sh", "-c", f'echo $$ >{group}/cgroup.procs; exec "$@"', "sh"]
    group.rmdir()


async def test_it_is_small(image: str, tmp_path: Path) -> None:
    whole = json.loads(await podman("image", "inspect", image))[0]["Size"]
    compressed = archive(image, tmp_path / "image.tar")
    print(f"\n{image}: {whole / MB:.0f} MB, compressed {compressed / MB:.0f} MB")
    assert whole <= 300 * MB
    assert compressed <= 110 * MB


async def test_what_it_holds_is_what_was_locked(image: str) -> None:
    say = (
        "import importlib.metadata as found, sys; print(sys.version.split()[0]); "
        "print(*(f'{one.name}=={one.version}' for one in found.distributions()))"
    )
    version, *held = (await only(image, "python3", "-c", say)).split()
    locked = set()
    for text in re.findall(r"^(\w[^\\\n]*)", (ROOT / "constraints-server.txt").read_text(), re.MULTILINE):
        line = Requirement(text)
        if line.marker is None or line.marker.evaluate({"python_full_version": version}):
            locked.add(f"{canonicalize_name(line.name)}{line.specifier}")
    names = {f"{canonicalize_name(name)}=={found}" for name, _, found in (text.partition("==") for text in held)}
    assert names == locked | {f"transcriber=={transcriber.__version__}"}


async def test_it_has_neither_installers_nor_compilers(image: str) -> None:
    look = "for name in pip pip3 gcc cc make; do command -v $name; done; python3 -m pip; python3 -c 'import setuptools'"
    said = await only(image, "sh", "-c", f"{look}; true")
    assert "No module named pip" in said
    assert "No module named 'setuptools'" in said
    assert len(said.splitlines()) == 5, said


def test_it_says_what_it_is_made_of(image: str) -> None:
    labels = configuration(image)["Labels"]
    prefix = "org.opencontainers.image."
    assert labels[f"{prefix}version"] == transcriber.__version__
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels[f"{prefix}revision"])
    assert labels[f"{prefix}base.name"]


def test_the_dockerfile_is_as_it_should_be() -> None:
    hadolint = ROOT / ".venv/hadolint/bin/hadolint"
    if not hadolint.exists():
        pytest.skip("hadolint is not here: make image-test")
    done = subprocess.run([hadolint, ROOT / "deploy/Dockerfile"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


async def only(image: str, program: str, *argv: str) -> str:
    """What another program of the image writes."""
    return await podman("run", "--rm", *STRICT, f"--entrypoint={program}", image, *argv)


def configuration(image: str) -> dict[str, Any]:
    done = subprocess.run(["buildah", "inspect", "--type", "image", image], capture_output=True, check=True, timeout=60)
    found: dict[str, Any] = json.loads(done.stdout)["Docker"]["config"]
    return found


def health(image: str) -> list[str]:
    """The command of HEALTHCHECK."""
    kind, *argv = configuration(image)["Healthcheck"]["Test"]
    assert kind == "CMD"
    return list(argv)
