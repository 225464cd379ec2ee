"""A line of text in which what was searched for stands out."""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text


def print_marked(head: str, text: str, marks: Iterable[tuple[int, int]]) -> None:
    """Print head and text, both printable already. `marks`: from and to, in characters of the text."""
    shown = Text(text)
    for start, end in marks:
        shown.stylize("bold yellow", start, end)
    Console().print(Text.assemble((head, "dim"), shown))
