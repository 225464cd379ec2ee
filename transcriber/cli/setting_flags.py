"""Flags for every setting, for commands that take the settings of a server."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from transcriber.settings import sources, values
from transcriber.settings.definition import LoadedSettings, Settings, load_settings
from transcriber.settings.safety import require_safe

FLAGS = [item.name for item in dataclasses.fields(Settings)]
FLAGS += [item.name + sources.FILE_SUFFIX for item in dataclasses.fields(Settings) if sources.has_file(item)]


def add_setting_flags(parser: argparse.ArgumentParser) -> None:
    """`--config` and a flag for every setting; those of secrets are there to be refused in our own words."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="a TOML file with settings")
    group = parser.add_argument_group("settings (also TRANSCRIBER_<NAME> in the environment)")
    for item in dataclasses.fields(Settings):
        flag = "--" + item.name.replace("_", "-")
        doc = argparse.SUPPRESS if item.metadata["secret"] else item.metadata["doc"]
        alone: dict[str, Any] = {"nargs": "?", "const": "1"} if item.metadata["parse"] is values.flag else {}
        group.add_argument(flag, dest=item.name, metavar="VALUE", help=doc, **alone)
        if sources.has_file(item):
            doc = f"holds it: {item.metadata['doc']}" if item.metadata["secret"] else argparse.SUPPRESS
            group.add_argument(f"{flag}-file", dest=item.name + sources.FILE_SUFFIX, metavar="FILE", help=doc)


def settings_of(args: argparse.Namespace) -> LoadedSettings:
    """The settings of a command with `add_setting_flags`. Raises ConfigError."""
    flags = {name: value for name in FLAGS if (value := getattr(args, name)) is not None}
    loaded = load_settings(config=args.config, flags=flags)
    require_safe(loaded.settings)
    return loaded
