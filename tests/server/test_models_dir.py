"""MODELS_DIR: a folder of models apart from the server's own data, shared and read-only."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import command, program, wait_for_line
from transcriber import catalog

NAME = "vosk-model-small-xx-0.1"
READ_ONLY = (
    *("unshare", "--mount", "--propagation", "private", "sh", "-c"),
    'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"',
)
"""Runs a program to which the folder that follows is read-only."""


def mounts(folder: Path) -> bool:
    """Whether this user may make mounts of its own."""
    try:
        return subprocess.run([*READ_ONLY, str(folder), "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def model(folder: Path) -> Path:
    """A model that is not bundled."""
    source = catalog.find("en-demo", Path("nothing-is-here")).path
    return Path(shutil.copytree(source, folder, ignore=shutil.ignore_patterns("static")))


async def test_models_commands_and_check_use_the_folder(tmp_path: Path) -> None:
    data, shared = tmp_path / "data", tmp_path / "shared"
    settings = {"TRANSCRIBER_DATA_DIR": str(data), "TRANSCRIBER_MODELS_DIR": str(shared)}
    status, out = await command("models", "import", str(model(tmp_path / NAME)), **settings)
    assert (status, (shared / NAME / "am" / "final.mdl").is_file()) == (0, True), out
    assert not (data / "models").exists()
    status, out = await command("check", **settings)
    assert status == 0, out
    assert f"ok     models: 1 pulled in {shared} (may be written)" in out
    assert f"ok     model: {NAME} in {shared / NAME}" in out
    assert (await command("models", "rm", NAME, "--models-dir", str(shared)))[0] == 0
    assert not (shared / NAME).exists()


async def test_servers_share_a_folder_that_is_read_only_to_them(tmp_path: Path) -> None:
    data, shared = tmp_path / "data", tmp_path / "shared"
    model(shared / NAME)
    if not mounts(shared):
        pytest.skip("a folder cannot be made read-only here: no mounts of one's own")
    serve = ("serve", "--port", "0", "--data-dir", str(data), "--models-dir", str(shared))
    for starts in range(2):
        async with program(*READ_ONLY, str(shared), sys.executable, "-m", "transcriber", *serve) as child:
            said = await wait_for_line(child, b"trying " if starts == 0 else b"model: ")
            assert (b"trying" in said) == (starts == 0)  # once; then it stands in a note of the server's own
            assert NAME.encode() in await wait_for_line(child, b"room for ")
            child.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(child.wait(), 20) == 0
    assert [path.name for path in shared.iterdir()] == [NAME]


@pytest.fixture
def data_of_root() -> Iterator[Path]:
    """A data directory that others may not look into, where others get to."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        data = Path(folder) / "data"
        data.mkdir(mode=0o700)
        (data / "models").mkdir()
        yield data


AS_NOBODY = (
    "import os, sys, transcriber.cli.check, transcriber.cli.serve; from transcriber.cli.main import main; "
    "os.setgroups([]); os.setgid(65534); os.setuid(65534); sys.exit(main())"
)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
async def test_a_data_directory_of_another_user_is_said_by_check_as_by_serve(data_of_root: Path) -> None:
    environment = {"TRANSCRIBER_DATA_DIR": str(data_of_root), "TRANSCRIBER_INSECURE": "1", "HOME": "/"}
    for name, said in (("check", f"WRONG  data: {data_of_root}"), ("serve", f"transcriber: {data_of_root}/")):
        async with program(sys.executable, "-c", AS_NOBODY, name, environment=environment) as child:
            out, _ = await asyncio.wait_for(child.communicate(), 60)
        assert child.returncode
        assert b"internal error" not in out
        assert re.search(rf"^{said}\S* cannot be \w+ \(Permission denied\): set another", out.decode(), re.MULTILINE), (
            out
        )
