"""The version stands in one place, and whatever repeats it agrees."""

import re
from pathlib import Path

import pytest

from tests.process import ROOT
from transcriber import __version__

WRITTEN = re.compile(r"transcriber[:-](\d+\.\d+\.\d+)\b")
"""An image or a file of a release."""
FILES = sorted(
    path
    for folder in ("deploy", "docs/pages", ".github")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".md", ".yaml", ".yml", ".sh") and WRITTEN.search(path.read_text())
)


def test_some_files_name_an_image() -> None:
    assert {"compose.yaml", "run-in-a-container.md"} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_image_is_named_with_the_version_of_the_code(path: Path) -> None:
    """Else `docker compose up` after an upgrade would run, or overwrite, what an earlier release was named."""
    assert set(WRITTEN.findall(path.read_text())) == {__version__}


def test_the_release_notes_name_every_file_to_change() -> None:
    steps = (ROOT / "deploy/RELEASE.md").read_text().partition("## Make one")[2].partition("## Verify one")[0]
    missing = [str(path.relative_to(ROOT)) for path in FILES if path.name not in steps]
    assert missing == []
    assert "transcriber/__init__.py" in steps
    assert "Chart.yaml" in steps
