"""The project's own checks: what did not run has not passed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.process import ROOT

AUDITS = {
    "nothing known": ("echo 'No known vulnerabilities found'", 0, 0, "No known vulnerabilities found"),
    "a vulnerability": ("echo 'aiohttp 3.0 PYSEC-1'; exit 1", 2, 2, "PYSEC-1"),
    "no database": ("echo 'requests.exceptions.ConnectionError'; exit 1", 2, 0, "audit: NOT DONE"),
    "a database without us": ("echo 'aiohttp Dependency not found on'; exit 0", 2, 0, "audit: NOT DONE"),
}


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("case", AUDITS)
def test_an_audit_that_was_not_done_has_failed_unless_that_was_asked_for(
    tmp_path: Path, case: str, *, offline: bool
) -> None:
    script, status, status_offline, says = AUDITS[case]
    for program, text in (("audit/bin/pip-audit", script), ("bin/python", f'exec {sys.executable} "$@"')):
        (tmp_path / program).parent.mkdir(parents=True)
        (tmp_path / program).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / program).chmod(0o755)
    command = ["make", "--silent", "--old-file=setup", f"VENV={tmp_path}", *(["OFFLINE=1"] if offline else []), "audit"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)
    assert says in done.stdout
    assert done.returncode == (status_offline if offline else status)


@pytest.mark.parametrize(
    ("may_skip", "status", "flags"),
    [
        (None, 0, ()),
        ("", 1, ()),
        ("other reasons", 1, ()),
        ("other reasons", 1, ("-p", "xdist", "-n", "2")),
        ("no tools|nothing here", 0, ()),
    ],
)
def test_a_skipped_test_has_failed_where_nobody_said_that_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may_skip: str | None, status: int, flags: tuple[str, ...]
) -> None:
    monkeypatch.delenv("MAY_SKIP", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # none is needed, and some load for a second
    if may_skip is not None:
        monkeypatch.setenv("MAY_SKIP", may_skip)
    test = tmp_path / "test_x.py"
    test.write_text("import pytest\ndef test_one(): pass\ndef test_two(): pytest.skip('no tools on this machine')\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", *flags, str(test)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == status, done.stdout
    assert ("test_two: no tools on this machine" in done.stdout) == bool(status)
