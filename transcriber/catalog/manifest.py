"""What was installed: where it came from, and the checksum of every file, so that later damage is found."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = ".transcriber.json"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a model came from. `checked`: what its archive was compared with (`md5:…`), empty if with nothing."""

    source: str
    language: str
    licence: str = ""
    note: str = ""
    checked: str = ""
    installed_at: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`files`: path below the model's folder -> (bytes, sha256)."""

    origin: Origin
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    def damage(self, folder: Path) -> Iterator[str]:
        """Each file that is no longer as it was, with what happened to it. Files added since are no damage."""
        for part, (size, sha256) in self.files.items():
            file = folder / part
            try:
                now = file.stat().st_size
                if now != size:
                    yield f"{part} has {now:,} bytes, it had {size:,}"
                elif digest(file) != sha256:
                    yield f"{part} has other contents than when it was installed"
            except FileNotFoundError:
                yield f"{part} is gone"
            except OSError as error:
                yield f"{part} cannot be read: {error.strerror or error}"


def digest(file: Path, method: str = "sha256") -> str:
    """The file's checksum in hexadecimal. Raises OSError."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, method).hexdigest()


def write(folder: Path, origin: Origin) -> None:
    """Sum up what is in the folder. Raises OSError."""
    files = {
        str(file.relative_to(folder)): [file.stat().st_size, digest(file)]
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != FILE
    }
    data = {"v": VERSION, "origin": {name: getattr(origin, name) for name in Origin.__slots__}, "files": files}
    (folder / FILE).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def read(folder: Path) -> Manifest | None:
    """The folder's manifest; None where there is none, or none that can be understood."""
    try:
        data: Any = json.loads((folder / FILE).read_text(encoding="utf-8"))
        origin = Origin(**{name: str(data["origin"].get(name, "")) for name in Origin.__slots__})
        files = {str(part): (int(size), str(sha256)) for part, (size, sha256) in data["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return Manifest(origin, files)
