"""Installing a model that is already on this machine: a folder or a zip archive from elsewhere."""

from pathlib import Path

from transcriber.catalog import archive, install
from transcriber.catalog.download import ProgressReporter
from transcriber.catalog.entries import Catalogue, Entry
from transcriber.catalog.manifest import Origin, digest
from transcriber.catalog.model_folder import ModelFolder, describe, looks_like_model
from transcriber.errors import ModelError


def name_of(path: Path) -> str:
    """What a model from there is called unless the user names it."""
    return path.resolve().name.removesuffix(".zip")


def import_model(path: Path, name: str, home: Path, report: ProgressReporter, *, catalogue: Catalogue) -> ModelFolder:
    """Copy or unpack it, check and install it. The archive of a known model is compared with its checksum.

    Raises ModelError, NotEnoughSpace.
    """
    entry = catalogue.find(name)
    if path.is_dir():
        return _import_folder(path, name, home, entry)
    if not path.is_file():
        raise ModelError(f"{path} is not there: a folder or a zip archive with a Vosk model is expected")
    checked = _compared(path, entry)
    contents = archive.inspect(path)
    with install.lock_model(home, name) as incoming:
        fill = install.unpacker(contents, incoming, name, report)
        origin = _origin(path, entry, checked)
        return install.install(incoming, name, fill=fill, origin=origin, source_label=str(path))


def _import_folder(path: Path, name: str, home: Path, entry: Entry | None) -> ModelFolder:
    if not looks_like_model(path):
        raise ModelError(f"{path} holds no Vosk model: no am/final.mdl")
    folder = describe(path)
    folder.check()
    with install.lock_model(home, name) as incoming:
        if (incoming.parent / name).resolve() == path.resolve():
            raise ModelError(f"{path} is already where it belongs")
        install.require_space(incoming, archive.size_of(path), what=name)
        origin = _origin(path, entry, "")
        return install.install(
            incoming, name, fill=lambda new: archive.copy_folder(path, new), origin=origin, source_label=str(path)
        )


def _compared(path: Path, entry: Entry | None) -> str:
    if entry is None or entry.checksum is None:
        return ""
    method, promised = entry.checksum
    if (found := digest(path, method)) != promised:
        raise ModelError(
            f"{path} is not the {entry.name} of the catalogue (its {method} is {found}, not {promised}): "
            "if it is meant to be another model, give it another --name"
        )
    return f"{method}:{found}"


def _origin(path: Path, entry: Entry | None, checked: str) -> Origin:
    source = str(path.resolve())
    return entry.origin(source, checked) if entry else Origin(source=source, language="", checked=checked)
