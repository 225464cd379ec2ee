"""The tables of `docs/pages/reference`, made from the code: settings, command line, HTTP, events, metrics.

A page of the reference is prose with blocks between `<!-- begin: NAME -->` and `<!-- end: NAME -->`. What stands in a
block is made here; the rest is written by hand. Pages are committed with their blocks filled, so that they can be read
in a checkout and a change of what users see shows in the diff; `tests/test_docs.py` compares them with the code.
"""

from docs.reference.blocks import BLOCKS, PAGES, filled

__all__ = ["BLOCKS", "PAGES", "filled"]
