"""The files for Prometheus: its own tool reads them, and what they name is served."""

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "deploy/prometheus"
pytestmark = pytest.mark.deploy


def promtool(*argv: str, folder: Path = FOLDER) -> str:
    """What promtool writes; it must succeed."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not here: make deploy")
    done = subprocess.run(["promtool", *argv], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_scrape_configuration_is_one() -> None:
    promtool("check", "config", "scrape.yml")
