"""A release outside the checkout: wheel and sdist, an environment by checksum, the commands in it, pipx, the SBOM."""

import json
import re
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import ROOT
from tests.release import sbom
from tests.release.installation import build, install, run
from transcriber import __version__
from transcriber.store.redis import binary

pytestmark = [pytest.mark.release, pytest.mark.timeout(900)]
CYCLONEDX = ROOT / ".venv/sbom/bin/cyclonedx-py"
PIPX = ROOT / ".venv/pipx/bin/pipx"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Outside the checkout, emptied afterwards: an environment has 200 MB."""
    made = tmp_path_factory.mktemp("r")
    assert ROOT not in made.parents
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def dist(folder: Path) -> tuple[Path, Path]:
    (folder / "dist").mkdir()
    return build(folder / "dist")


@pytest.fixture(scope="module")
def programs(folder: Path, dist: tuple[Path, Path]) -> Path:
    return install(dist[0], folder / "server")


@pytest.fixture
def path(programs: Path) -> str:
    """The programs, and a redis-server as a machine that serves has one."""
    return f"{programs}:{binary.find().parent}:/usr/bin:/bin"


def content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_sdist_builds_the_same_wheel(folder: Path, dist: tuple[Path, Path]) -> None:
    wheel, sdist = dist
    run(
        *(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-cache-dir"),
        *("--wheel-dir", folder / "again", sdist),
        folder=folder,
    )
    [again] = (folder / "again").glob("*.whl")
    assert again.name == wheel.name
    assert content(again) == content(wheel)


def test_the_wheel_holds_what_a_server_needs_and_nothing_else(dist: tuple[Path, Path]) -> None:
    names = content(dist[0]).keys()
    assert {name.partition("/")[0] for name in names} == {"transcriber", f"transcriber-{__version__}.dist-info"}
    for needed in ("models/en-demo/am/final.mdl", "models/catalog.toml", "web/static/index.html", "py.typed"):
        assert f"transcriber/{needed}" in names


def test_only_what_the_lock_pins_is_installed(folder: Path, programs: Path) -> None:
    listed = json.loads(run(programs / "python", "-m", "pip", "list", "--format", "json", folder=folder))
    assert {found["name"].lower().replace("_", "-").replace(".", "-") for found in listed} == {
        *sbom.pinned(),
        "transcriber",
        "pip",
    }


def test_it_runs_outside_the_checkout(folder: Path, path: str) -> None:
    assert run("transcriber", "--version", folder=folder, path=path).strip() == f"transcriber {__version__}"
    models = run("transcriber", "models", "list", folder=folder, path=path)
    assert re.search(r"^en-demo .* default$", models, re.MULTILINE)
    checks = run("transcriber", "check", folder=folder, path=path)
    assert "ok     model: en-demo" in checks
    assert str(ROOT) not in checks.replace(str(binary.find()), "")
    shown = run("transcriber", "demo", "--speed", "0", folder=folder, path=path)
    rate = re.search(r"error rate against the reference: ([\d.]+) %", shown)
    assert rate is not None
    assert float(rate[1]) < 20


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_no_server_needs_a_compiler(folder: Path, machine: str, python: str) -> None:
    """Wheels of all that the lock pins; srt alone is built, of Python."""
    lock = (ROOT / "constraints-server.txt").read_text()
    wheels = folder / "wheels.txt"
    wheels.write_text(re.sub(r"^srt==.*?(?=^\w)", "", lock, flags=re.MULTILINE | re.DOTALL))
    platforms = [f"--platform=manylinux{name}_{machine}" for name in ("1", "2014", "_2_17", "_2_27", "_2_28")]
    run(
        *(sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--require-hashes"),
        *("--only-binary", ":all:", f"--python-version={python}", *platforms, f"--platform=linux_{machine}"),
        *("--target", folder / "nowhere", "-r", wheels),
        folder=folder,
    )


@pytest.mark.skipif(not PIPX.exists(), reason="pipx is not here (make release-test)")
def test_pipx_installs_it(folder: Path, dist: tuple[Path, Path], path: str) -> None:
    places = [f"PIPX_HOME={folder}/pipx", f"PIPX_BIN_DIR={folder}/programs", f"PIPX_MAN_DIR={folder}/man"]
    run("env", *places, PIPX, "install", "--python", sys.executable, dist[0], folder=folder, path=path)
    assert run(folder / "programs/transcriber", "--version", folder=folder).strip() == f"transcriber {__version__}"


@pytest.mark.skipif(not CYCLONEDX.exists(), reason="cyclonedx-py is not here (make release-test)")
def test_the_sbom_names_what_is_installed(folder: Path, programs: Path) -> None:
    bill = folder / "bill.json"
    sbom.write(CYCLONEDX, programs, bill)
    told = json.loads(bill.read_text())
    assert told["bomFormat"] == "CycloneDX"
    root = told["metadata"]["component"]
    assert (root["name"], root["version"]) == ("transcriber", __version__)
    assert root["purl"] == f"pkg:generic/transcriber@{__version__}"  # the name on PyPI is another project's
    assert all(part.get("licenses") for part in told["components"])
    assert str(folder) not in bill.read_text()


@pytest.mark.skipif(not CYCLONEDX.exists(), reason="cyclonedx-py is not here (make release-test)")
def test_one_verb_makes_all_files_with_their_checksums(folder: Path) -> None:
    made = folder / "release"
    made.mkdir()
    (made / "transcriber-0.0.1-py3-none-any.whl").write_text("of an earlier release")
    installed = ROOT / ".venv/.installed"
    run("make", f"--old-file={installed.relative_to(ROOT)}", "release-files", f"DIST={made}", folder=ROOT)
    name = f"transcriber-{__version__}"
    files = {f"{name}-py3-none-any.whl", f"{name}.tar.gz", f"{name}.cdx.json"}
    files |= {"constraints-server.txt", "constraints-build.txt"}
    assert {path.name for path in made.iterdir()} == {*files, "SHA256SUMS"}
    checked = run("sha256sum", "--check", "--strict", "SHA256SUMS", folder=made)
    assert {line.removesuffix(": OK") for line in checked.splitlines()} == files
