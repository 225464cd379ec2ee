"""Checks whose outcomes are printed a line each, for commands that answer with their exit status."""

from collections.abc import Callable, Iterable

from transcriber.cli.terminal_text import printable
from transcriber.errors import TranscriberError
from transcriber.observability.url_credentials import without_credentials


def print_checks(checks: Iterable[tuple[str, Callable[[], str]]]) -> int:
    """Run each check and print what it returns, or the TranscriberError it raises; 1 when one raised, else 0."""
    status = 0
    for name, check in checks:
        try:
            print(f"ok     {name}: {printable(check())}")
        except TranscriberError as error:
            status = 1
            print(f"WRONG  {name}: {printable(without_credentials(str(error)))}")
    return status
