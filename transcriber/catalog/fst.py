"""Reads what an OpenFst file's headers say, and how long the file must then be; nothing is loaded.

Vosk loads a lookahead graph whose end is missing and from then on recognises other words, so a file cut short must be
found here. Layouts as OpenFst writes them, little endian: header and symbol tables, then by kind `const` (states,
arcs), `ngram` (bitmaps, labels, weights), `vector`, or `olabel_lookahead` (a const FST, and for each state the labels
it reaches).
"""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAGIC = 0x7EB2FDD6
SYMBOLS_MAGIC = 0x7EB2FB74
ADD_ON_MAGIC = 0x1A9FD15A
SYMBOLS, ALIGNED = 3, 4
"""Bits of the header's flags: symbol tables inside (input 1, output 2), parts aligned to 16 bytes."""
STATE_BYTES, ARC_BYTES = 20, 16
ROWS_AT_ONCE = 1 << 20
"""States or arcs."""
MIN_VECTOR_STATE_BYTES = 12
MIN_INTERVALS_BYTES = 12
MIN_SYMBOL_BYTES = 12


class BadFst(ValueError):
    """Not an FST, or one that is cut short."""


@dataclass(frozen=True, slots=True)
class Fst:
    """`max_input_label`, `max_output_label`: the highest labels on its arcs; 0 where they were not asked for."""

    kind: str
    has_symbols: bool
    max_input_label: int = 0
    max_output_label: int = 0


def read(path: Path, *, labels: bool = False, arcs: bool = False) -> Fst:
    """What its headers say; on request the highest labels (0.3 s for six million arcs).

    With `arcs` each state and arc of a constant graph is checked, too: a decoder follows arcs without checking. Raises
    BadFst, OSError.
    """
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise BadFst("is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _Reader(data, labels, arcs).fst()
            except struct.error:
                raise BadFst(f"is cut short at {len(data):,} bytes") from None
            except (OverflowError, MemoryError):
                raise BadFst("has a damaged header") from None


class _Reader:
    def __init__(self, data: Any, labels: bool, arcs: bool) -> None:
        self.data = data
        self.at = 0
        self.labels = labels
        self.arcs = arcs
        self.inside = False
        """The graph behind lookahead data holds none itself."""

    def fst(self) -> Fst:
        if self.take("<I") != MAGIC:
            raise BadFst("is not an FST")
        kind, arcs_of = self.text(), self.text()
        if not f"{kind}{arcs_of}".isidentifier():
            raise BadFst("has a damaged header")
        _, flags = self.take("<i"), self.take("<i")
        _, start, states, arcs = (self.take("<q") for _ in range(4))
        for _ in range((flags & SYMBOLS).bit_count()):
            self.symbols()
        top = (0, 0)
        if arcs_of == "standard":
            match kind:
                case "const":
                    self.expect_within(start, states)
                    top = self.const(states, arcs, aligned=bool(flags & ALIGNED))
                case "ngram":
                    self.ngram()
                case "vector":
                    self.skip(max(states, 0) * MIN_VECTOR_STATE_BYTES)
                case "olabel_lookahead":
                    inner = self.lookahead()
                    return Fst(
                        kind, bool(flags & 2) or inner.has_symbols, inner.max_input_label, inner.max_output_label
                    )
        return Fst(kind, bool(flags & 2), *top)

    def const(self, states: int, arcs: int, *, aligned: bool) -> tuple[int, int]:
        starts = []
        for count, size in ((states, STATE_BYTES), (arcs, ARC_BYTES)):
            if aligned:
                self.at += -self.at % 16
            starts.append(self.at)
            self.skip(count * size)
        if self.arcs and (what := _find_damage(self.data, states, arcs, *starts)):
            raise BadFst(f"is damaged: {what}")
        if not self.labels or not arcs:
            return 0, 0
        numbers = memoryview(self.data)[self.at - arcs * ARC_BYTES : self.at].cast("i")
        with numbers, numbers[0::4] as inputs, numbers[1::4] as outputs:
            return max(inputs), max(outputs)

    def ngram(self) -> None:
        states, futures, finals = (self.take("<Q") for _ in range(3))
        bitmaps = sum((bits + 63) // 64 * 8 for bits in (2 * states + 1, futures + states + 1, states))
        self.skip(bitmaps + 4 * (2 * (states + 1) + 2 * futures + finals))

    def lookahead(self) -> Fst:
        if self.take("<I") != ADD_ON_MAGIC:
            raise BadFst("has no lookahead data where it belongs")
        if self.inside:
            raise BadFst("has a damaged header")
        self.inside = True
        inner = self.fst()
        if self.take("<?"):
            for _ in range(2):
                if self.take("<?"):
                    self.reachable()
        return inner

    def reachable(self) -> None:
        _, relabelled = self.take("<?"), self.take("<?")
        if relabelled:
            self.skip(8 * self.take("<q"))
        self.take("<i")
        # Two million sets in a large model: no method calls in this loop.
        sets = self.take("<q")
        self.expect(sets * MIN_INTERVALS_BYTES)
        unpack, data, at = struct.Struct("<Q").unpack_from, self.data, self.at
        for _ in range(sets):
            at += MIN_INTERVALS_BYTES + 8 * unpack(data, at)[0]
        self.at = at
        self.expect(0)

    def symbols(self) -> None:
        if self.take("<I") != SYMBOLS_MAGIC:
            raise BadFst("has no symbol table where one belongs")
        self.text()
        _, count = self.take("<q"), self.take("<q")
        self.expect(count * MIN_SYMBOL_BYTES)
        unpack, data, at = struct.Struct("<I").unpack_from, self.data, self.at
        for _ in range(count):
            at += MIN_SYMBOL_BYTES + unpack(data, at)[0]
        self.at = at
        self.expect(0)

    def text(self) -> str:
        size = self.take("<i")
        start = self.at
        self.skip(size)
        return bytes(self.data[start : self.at]).decode("ascii", "replace")

    def take(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def skip(self, size: int) -> None:
        self.expect(size)
        self.at += size

    def expect_within(self, start: int, states: int) -> None:
        if start >= max(states, 0):
            raise BadFst("has a damaged header")

    def expect(self, size: int) -> None:
        if size < 0:
            raise BadFst("has a damaged header")
        if (least := self.at + size) > len(self.data):
            raise BadFst(f"is cut short: it has {len(self.data):,} bytes, its headers announce at least {least:,}")


def _find_damage(data: Any, states: int, arcs: int, states_at: int, arcs_at: int) -> str:
    """What is wrong with a state's arcs, or with where an arc leads: a decoder goes there unasked."""
    import numpy as np  # other commands would wait for it

    for first in range(0, states, ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, states - first)
        rows = np.frombuffer(data, "<u4", 5 * count, states_at + STATE_BYTES * first).reshape(count, 5)
        ends = rows[:, 1].astype(np.uint64) + rows[:, 2]
        if ends.max() > arcs or (rows[:, 3:] > rows[:, 2:3]).any():
            return "states have arcs that are not there"
    for first in range(0, arcs, ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, arcs - first)
        rows = np.frombuffer(data, "<i4", 4 * count, arcs_at + ARC_BYTES * first).reshape(count, 4)
        if rows[:, 3].min() < 0 or rows[:, 3].max() >= states or rows[:, :2].min() < 0:
            return "arcs lead to states that are not there"
        if not np.isfinite(rows[:, 2].copy().view("<f4")).all():
            return "arcs have a weight that is no number"
    return ""
