"""Which models are installed: names to folders, and whether Vosk can load what is in them."""

import re
from dataclasses import dataclass
from pathlib import Path

from transcriber.audio.chunk import Band
from transcriber.catalog import manifest, static_graph, validation
from transcriber.catalog.vosk_layout import feature_options
from transcriber.errors import ModelError

DEMO = "en-demo"
MAX_TELEPHONE_HZ = 4000.0


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on disk. `band` says which upsampling suits it: what its training audio looked like."""

    name: str
    path: Path
    language: str
    band: Band

    @property
    def size_bytes(self) -> int:
        """Bytes on disk, without the static graph made from them: that one says nothing about how good it is."""
        own = (part for part in self.path.iterdir() if part.name != static_graph.STATIC)
        files = (file for part in own for file in (part, *part.rglob("*")))
        return sum(file.stat().st_size for file in files if file.is_file())

    @property
    def dynamic(self) -> bool:
        """Whether its graph is composed while decoding: a call's grammar can take the language model's place."""
        return static_graph.is_dynamic(self.path)

    def check(self) -> None:
        """Raises ModelError unless all is there and whole that Vosk needs (it may abort the process otherwise)."""
        if found := validation.faults(self.path):
            raise ModelError(f"{self.path} is not a complete Vosk model: {', '.join(found)}")
        rate = _number(_options(self.path).get("sample-frequency", "16000"), self.path)
        if rate != 16000:
            raise ModelError(f"the model in {self.path} wants {rate:.0f} Hz audio; only 16000 Hz models are supported")


def installed(home: Path) -> list[ModelFolder]:
    """All models, those pulled into `home` first, the largest of them first; the demo model last. Raises ModelError."""
    found: dict[str, ModelFolder] = {}
    for place in (home, *bundled_homes()):
        paths = _folders(place)
        folders = [describe(path) for path in paths if not path.name.startswith(".") and looks_like_model(path)]
        for folder in sorted(folders, key=lambda folder: folder.size_bytes, reverse=True):
            found.setdefault(folder.name, folder)
    return sorted(found.values(), key=lambda folder: folder.name == DEMO)


def find(name: str, home: Path) -> ModelFolder:
    """The model of that name or path; the best one installed when the name is empty. Raises ModelError."""
    models = installed(home)
    if not name:
        if not models:
            raise ModelError("no model is installed: `transcriber models pull en` gets one")
        return models[0]
    for folder in models:
        if folder.name == name:
            return folder
    path = Path(name).expanduser()
    if path.is_dir():
        return describe(path.absolute())
    names = ", ".join(folder.name for folder in models) or "none"
    raise ModelError(
        f"no model {name!r}: neither a folder nor installed (installed: {names}); see `transcriber models list`"
    )


def describe(path: Path) -> ModelFolder:
    """A folder with what its manifest, its name and its configuration say."""
    known = manifest.read(path)
    language = known.origin.language if known else ""
    return ModelFolder(path.name, path, language or _language(path.name), _band(path))


def bundled_homes() -> tuple[Path, Path]:
    """Where the models that come with the project may lie: in a checkout, in an installed package."""
    package = Path(__file__).parents[1]
    return package.parent / "models", package / "models"


def _folders(home: Path) -> list[Path]:
    try:
        return list(home.iterdir()) if home.is_dir() else []
    except OSError as error:
        raise ModelError(f"{home} cannot be read: {error.strerror or error}") from None


def looks_like_model(path: Path) -> bool:
    """Whether the folder is meant to be a model, whole or not."""
    return any((path / part).exists() for part in ("am", "graph", "final.mdl", manifest.FILE))


def _language(name: str) -> str:
    """`en` of `en-demo`, `en-us` of `vosk-model-small-en-us-0.15`."""
    found = re.match(r"(?:vosk-model-)?(?:small-|spk-|tts-)?([a-z]{2,3}(?:-[a-z]{2}(?![a-z]))?)(?=[-.]|$)", name)
    return found.group(1) if found else "und"


def _band(path: Path) -> Band:
    """A model whose features end below 4 kHz was trained on telephone speech; any other on wide-band speech."""
    top = _number(_options(path).get("high-freq", "0"), path)
    return "telephone" if 0 < top <= MAX_TELEPHONE_HZ else "wide"


def _number(text: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError:
        raise ModelError(f"the mfcc.conf of {path} has {text[:40]!r} where a number belongs") from None


def _options(path: Path) -> dict[str, str]:
    file = path / feature_options(path)
    if not file.is_file():
        return {}
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror or error}") from None
    return dict(re.findall(r"^\s*--([\w-]+)=(\S+)", "\n".join(lines), re.MULTILINE))
