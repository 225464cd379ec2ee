"""Builds wheel and sdist; installs as deploy/RELEASE.md says: by checksum, in an environment outside the checkout."""

import os
import subprocess
import sys
from pathlib import Path

from tests.process import ROOT

WITHIN_S = 600


def run(*command: str | Path, folder: Path, path: str = os.defpath) -> str:
    """What a command writes, without this process's settings. Raises AssertionError with it where it fails."""
    kept = ("HOME", "LANG", "PIP_CONFIG_FILE", "PIP_INDEX_URL", "PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    environment = {name: os.environ[name] for name in kept if os.environ.get(name, os.devnull) != os.devnull}
    environment |= {"PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env=environment | {"XDG_DATA_HOME": str(folder / "share")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=WITHIN_S,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def build(folder: Path) -> tuple[Path, Path]:
    """Wheel and sdist of the checkout, with the locked build tools."""
    run(sys.executable, "-m", "hatchling", "build", "--directory", folder, folder=ROOT)
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def install(wheel: Path, folder: Path) -> Path:
    """An environment for a server in that folder; the folder of its programs."""
    run(sys.executable, "-m", "venv", folder, folder=folder.parent)
    programs = folder / "bin"
    pip = (programs / "python", "-m", "pip")
    build_lock, server_lock = ROOT / "constraints-build.txt", ROOT / "constraints-server.txt"
    run(*pip, "install", "--require-hashes", "--only-binary", ":all:", "-r", build_lock, folder=folder)
    run(*pip, "install", "--require-hashes", "--no-build-isolation", "-r", server_lock, folder=folder)
    run(*pip, "install", "--no-deps", wheel, folder=folder)
    run(*pip, "uninstall", "-y", "-r", build_lock, folder=folder)
    return programs
