"""Where settings come from: the TOML file, the environment, flags; later wins. Secrets may lie in files of their own.

For a secret, or a URL that may hold one, `NAME_FILE` names a file whose text is the value: Docker's and Kubernetes'
secrets and systemd's credentials are such files. As flags secrets are refused: every user of a machine sees those.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import Field, dataclass
from pathlib import Path
from typing import Any

from transcriber.errors import ConfigError
from transcriber.observability.url_credentials import without_credentials
from transcriber.settings import secret_file

PREFIX = "TRANSCRIBER_"
FILE_SUFFIX = "_file"
IN_THE_PROCESS_LIST = "a secret among the flags stands in the process list, where every user of this machine reads it"


@dataclass(frozen=True, slots=True)
class GivenText:
    """A setting's text and what gave it (the settings file, the variable, `flag`). `label`: both, for errors."""

    text: str
    source: str
    label: str


def has_file(item: "Field[Any]") -> bool:
    """Whether the setting's value may lie in a file of its own."""
    return bool(item.metadata["secret"] or item.metadata["url"])


def gather(
    known: Mapping[str, "Field[Any]"], *, config: Path | None, environ: Mapping[str, str], flags: Mapping[str, str]
) -> dict[str, GivenText]:
    """What was given of each setting. Raises ConfigError, which reveals no secret."""
    file = {
        name: GivenText(text, str(config), f"setting {name!r} in {config}") for name, text in _read_toml(config).items()
    }
    variables = {
        name.removeprefix(PREFIX).lower(): GivenText(text, name, name)
        for name, text in environ.items()
        if name.startswith(PREFIX)
    }
    typed = {name: GivenText(text, "flag", f"--{name.replace('_', '-')}") for name, text in flags.items()}
    for name, given in typed.items():
        _refuse_secrets(known.get(name), given)
    return {**_resolved(file, known), **_resolved(variables, known), **_resolved(typed, known)}


def _read_toml(config: Path | None) -> dict[str, str]:
    """The texts in the settings file by name; nothing without a file. Raises ConfigError."""
    if config is None:
        return {}
    try:
        data = tomllib.loads(config.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"settings file {config}: {error}") from None
    return {name: _as_text(value, name, config) for name, value in data.items()}


def _as_text(value: Any, name: str, config: Path) -> str:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ",".join(value)
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ConfigError(f"setting {name!r} in {config} must be a string, a number, a boolean or a list of strings")


def _refuse_secrets(item: "Field[Any] | None", given: GivenText) -> None:
    if item is None or not has_file(item):
        return
    if item.metadata["url"] and without_credentials(given.text) == given.text:
        return
    variable = PREFIX + item.name.upper()
    raise ConfigError(
        f"{given.label}: {IN_THE_PROCESS_LIST}; "
        f"give {given.label}-file FILE, or set {variable} or {variable}_FILE, or {item.name} in the settings file"
    )


def _resolved(given: Mapping[str, GivenText], known: Mapping[str, "Field[Any]"]) -> dict[str, GivenText]:
    """By the names of settings: files are read. Two ways at once are refused; empty is not given."""
    found = {}
    for name, one in given.items():
        item = known.get(name)
        if item is not None:
            found[name] = one
            continue
        item = known.get(name.removesuffix(FILE_SUFFIX)) if name.endswith(FILE_SUFFIX) else None
        if item is None or not has_file(item):
            raise ConfigError(f"unknown {one.label}; known settings: {', '.join(sorted(known))}")
        if not one.text.strip():
            continue
        beside = given.get(item.name)
        if beside is not None and beside.text:
            raise ConfigError(f"{beside.label} and {one.label} are both given: which of them counts? Leave one out")
        found[item.name] = GivenText(_read_named_file(one), one.source, one.label)
    return found


def _read_named_file(given: GivenText) -> str:
    try:
        return secret_file.read(Path(given.text.strip()).expanduser())
    except ValueError as error:
        raise ConfigError(f"{given.label}: {error}") from None
