"""What a section reports: rows of figures, and what one must know to read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Value = str | int | float | None
Row = Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionReport:
    """Rows with the same keys, units in the keys. `about`: what was played, how often. `notes`: how it was measured.

    `steps`: rows of their own kind, on the way to the others.
    """

    section: str
    about: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    steps: Sequence[Row] = ()


def percentile(values: Sequence[float], q: float) -> float | None:
    """Rounded to a tenth; None of nothing."""
    return round(float(np.percentile(values, q)), 1) if values else None


def ratio(value: float | None, base: float | None) -> float | None:
    """To two digits behind the point; None where one is missing."""
    return round(value / base, 2) if value is not None and base else None


def rounded(value: float | None, digits: int) -> float | None:
    """None stays None."""
    return None if value is None else round(value, digits)
