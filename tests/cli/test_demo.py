"""demo, whole: a real server, the bundled model, the sample call, nothing left behind."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def demo(folder: Path, *argv: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command with its temporary files in `folder`."""
    command = [sys.executable, "-m", "transcriber", "demo", *argv]
    env = os.environ | {"TMPDIR": str(folder)} | environment
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=55, env=env)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: the socket of its redis-server lies in it."""
    with tempfile.TemporaryDirectory(prefix="demo-") as path:
        yield Path(path)


def test_the_demo_shows_captions_and_a_low_error_rate(folder: Path) -> None:
    done = demo(folder, "--speed", "0", TRANSCRIBER_PORT="nonsense", TRANSCRIBER_API_KEYS="of-the-user")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^00:0\d  agent    .*department", done.stdout, re.MULTILINE)
    rate = re.search(r"error rate against the reference: ([\d.]+) % \(\d+ of 63 words\)", done.stdout)
    assert rate is not None
    assert float(rate[1]) < 20
    assert list(folder.iterdir()) == []


def test_a_server_that_does_not_start_is_shown(tmp_path: Path) -> None:
    failing = tmp_path / "failing"
    failing.write_text("#!/bin/sh\necho the server says this\nexit 3\n")
    failing.chmod(0o755)
    code = "import sys; from transcriber.cli.main import main; sys.executable = sys.argv[1]; sys.exit(main(['demo']))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(failing)], capture_output=True, text=True, check=False, timeout=55
    )
    assert done.returncode == 1
    assert done.stderr == ("the server says this\ntranscriber: the server stopped before it was ready\n")
