"""Custom resources of the chart against their models, which npm has (tests/deploy/crds, locked with checksums)."""

import copy
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.chart import VALUES, Document, documents
from tests.deploy.test_chart import NO_SCHEMA

FOLDER = Path(__file__).parent / "crds"
pytestmark = [pytest.mark.chart, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The program, beside what it needs."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not here")
    folder = tmp_path_factory.mktemp("crds") / "program"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("node_modules"))
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=0")
    done = subprocess.run(["npm", "ci", *quiet, "--prefix", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot install the models of custom resources: {done.stderr[-200:]}")
    yield folder / "validate.mjs"
    shutil.rmtree(folder)


def custom() -> list[Document]:
    return [document for values in VALUES for document in documents(values) if document["kind"] in NO_SCHEMA]


def complaints(validator: Path, objects: list[Document]) -> list[str]:
    """A line for each object that is wrong."""
    done = subprocess.run(
        ["node", str(validator)], input=json.dumps(objects), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == bool(done.stdout), done.stderr
    return done.stdout.splitlines()


def test_custom_resources_are_what_their_operators_take(validator: Path) -> None:
    assert {document["kind"] for document in custom()} == set(NO_SCHEMA)
    assert complaints(validator, custom()) == []


def test_wrong_ones_would_be_noticed(validator: Path) -> None:
    wrong = copy.deepcopy(custom())
    for document in wrong:
        spec = document["spec"]
        first = next(iter(spec))
        spec[first] = "wrong" if not isinstance(spec[first], str) else 1
    assert len(complaints(validator, wrong)) == len(wrong)
