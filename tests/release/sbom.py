"""The bill of materials of a server (CycloneDX, JSON): `python -m tests.release.sbom CYCLONEDX-PY FOLDER`.

Written for what is installed by `installation`, and refused if it does not name exactly what the lock pins for it.
"""

import json
import sys
import tempfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.process import ROOT
from tests.release.installation import build, install, run
from tests.test_locks import locked
from transcriber import __version__

INSTALLER = "pip"
"""Comes with an environment, and is no part of the server."""


def write(cyclonedx: Path, programs: Path, target: Path) -> None:
    """The file for the environment of these programs. Raises AssertionError if it is not what the lock names."""
    run(
        *(cyclonedx, "environment", "--output-reproducible", "--output-format", "JSON", "--output-file", target),
        *("--pyproject", ROOT / "pyproject.toml", programs / "python"),
        folder=target.parent,
    )
    bill = json.loads(target.read_text())
    bill["components"] = [part for part in bill["components"] if part["name"] not in (INSTALLER, "transcriber")]
    root = bill["metadata"]["component"]
    root |= {"version": __version__, "purl": f"pkg:generic/transcriber@{__version__}"}
    named = {part["bom-ref"] for part in [*bill["components"], root]}
    bill["dependencies"] = [edge for edge in bill["dependencies"] if edge["ref"] in named]
    target.write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n")
    found = {canonicalize_name(part["name"]): part["version"] for part in bill["components"]}
    assert found == pinned(), sorted(set(found.items()) ^ set(pinned().items()))


def pinned() -> dict[str, str]:
    """Names and versions of the server's lock that apply to this Python and machine."""
    requirements: list[Requirement] = [found for found, _ in locked("constraints-server.txt")]
    return {
        canonicalize_name(found.name): str(found.specifier).removeprefix("==")
        for found in requirements
        if found.marker is None or found.marker.evaluate()
    }


def main(cyclonedx: str, folder: str) -> None:
    """Build and install, write the file, and tell its name."""
    target = Path(folder).absolute()
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sbom-") as work:
        dist = Path(work) / "dist"
        dist.mkdir()
        wheel, _ = build(dist)
        bill = target / f"{wheel.name.split('-py3')[0]}.cdx.json"
        write(Path(cyclonedx).absolute(), install(wheel, Path(work) / "server"), bill)
    print(f"{bill}: {len(pinned())} packages, those that constraints-server.txt pins")


if __name__ == "__main__":
    main(*sys.argv[1:])
