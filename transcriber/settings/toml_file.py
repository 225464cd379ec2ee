"""The TOML file with settings: the texts in it by name."""

import tomllib
from pathlib import Path
from typing import Any

from transcriber.errors import ConfigError


def read(config: Path | None) -> dict[str, str]:
    """Nothing without a file. Raises ConfigError."""
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
