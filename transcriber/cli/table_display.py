"""Where a table goes: drawn on a terminal that rich can use, plain lines elsewhere."""

import sys

from transcriber.cli.table import Table
from transcriber.cli.terminal_text import draws


def print_table(table: Table) -> None:
    """On stdout."""
    if draws(sys.stdout):
        from transcriber.cli.rich_terminal.table import draw

        draw(table)
    else:
        print(table.text(), flush=True)
