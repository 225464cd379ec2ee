"""A table of text, as wide as it need be."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells, printable already.

    Of the columns, `right` hold figures and `wrapping` may break on a narrow terminal. `colours`: of a column's cells,
    by their text.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Collection[str] = ()
    wrapping: Collection[str] = ()
    colours: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def text(self) -> str:
        """Lines with the columns two spaces apart and nothing at their ends."""
        lines = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        pads = [str.rjust if name in self.right else str.ljust for name in self.columns]
        return "\n".join(
            "  ".join(pad(cell, width) for pad, cell, width in zip(pads, line, widths, strict=True)).rstrip()
            for line in lines
        )
