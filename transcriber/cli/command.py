"""How every sub-command is declared: summary, examples, version. What a command does lives in its own file."""

import argparse
from collections.abc import Callable
from typing import Protocol, TypeAlias

from transcriber import __version__

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


class Command(Protocol):
    """What the module of a command has."""

    __name__: str

    @property
    def add(self) -> Callable[[Subparsers], None]:
        """Declares the command, with `add_command`."""


def add_command(
    subparsers: Subparsers, name: str, *, run: Callable[[argparse.Namespace], int], summary: str, examples: str
) -> argparse.ArgumentParser:
    """A sub-command whose help shows `examples`, one a line; `run` takes the arguments, returns the exit status."""
    shown = "\n".join(f"  {line.strip()}" for line in examples.strip().splitlines())
    parser = subparsers.add_parser(
        name,
        help=summary,
        description=summary[:1].upper() + summary[1:] + ".",
        epilog=f"examples:\n{shown}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"transcriber {__version__}")
    parser.set_defaults(run=run, usage_error=parser.error)
    return parser
