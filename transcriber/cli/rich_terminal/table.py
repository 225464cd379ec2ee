"""A table on a terminal: columns closer where it is narrow, colours, and lines that break in the columns that may."""

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from transcriber.cli.table import Table

ROOMY_WIDTH = 100


def draw(table: Table, console: Console | None = None) -> None:
    """Print it."""
    console = console or Console()
    gap = 2 if console.width >= ROOMY_WIDTH else 1
    drawn = RichTable(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for name in table.columns:
        drawn.add_column(
            name,
            justify="right" if name in table.right else "left",
            no_wrap=name not in table.wrapping,
            overflow="fold",
        )
    for row in table.rows:
        cells = zip(table.columns, row, strict=True)
        drawn.add_row(*(Text(cell, style=table.colours.get(name, {}).get(cell, "")) for name, cell in cells))
    console.print(drawn)
