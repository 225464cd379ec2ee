"""What is installed is what was locked: every dependency is there, with a version that fits and with checksums."""

import re
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SERVER = "constraints-server.txt"
LOCKS = ("constraints.txt", SERVER, "constraints-build.txt", "constraints-docs.txt", "constraints-korean.txt")
CHECKSUM = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def locked(name: str) -> Iterator[tuple[Requirement, int]]:
    """Each requirement of a lock and how many checksums it has."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        yield Requirement(CHECKSUM.sub("", line)), len(CHECKSUM.findall(line))


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_is_one_version_with_checksums_and_no_address(name: str) -> None:
    for requirement, checksums in locked(name):
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), requirement
        assert checksums, requirement
    assert "://" not in (ROOT / name).read_text()


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        (
            "constraints.txt",
            [*project()["project"]["dependencies"], *project()["project"]["optional-dependencies"]["dev"]],
        ),
        ("constraints-build.txt", project()["build-system"]["requires"]),
        ("constraints-docs.txt", project()["project"]["optional-dependencies"]["docs"]),
        ("constraints-korean.txt", project()["project"]["optional-dependencies"]["korean"]),
    ],
)
def test_the_locks_hold_what_the_project_asks_for(lock: str, wanted: list[str]) -> None:
    """`make lock` brings them in step."""
    versions = {canonicalize_name(found.name): str(found.specifier)[2:] for found, _ in locked(lock)}
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_a_server_gets_the_versions_that_are_tested() -> None:
    """The lock of the container image: nothing that the tests do not run on."""
    tested = {(line.name, str(line.specifier)) for line, _ in locked("constraints.txt")}
    assert {(line.name, str(line.specifier)) for line, _ in locked(SERVER)} < tested


def test_what_runs_here_is_what_is_locked() -> None:
    for requirement, _ in locked("constraints.txt"):
        if requirement.marker is None or requirement.marker.evaluate():
            assert requirement.specifier.contains(metadata.version(requirement.name)), requirement
