"""Runs work whose size a caller chooses in time slices, so that everything else on the event loop runs in between."""

import asyncio
import time
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")
SLICE_S = 0.003
"""How long a slice may hold the loop; it ends with the item that passes it."""


class TimeSlices:
    """Slices of the event loop for long work, first come, first served.

    One slice runs in each round of the loop, however many share it. Belongs to one event loop.
    """

    def __init__(self, *, slice_s: float | None = None) -> None:
        self._slice_s = SLICE_S if slice_s is None else slice_s
        self._turn = asyncio.Lock()

    async def collect(self, work: Iterable[T]) -> list[T]:
        """What a lazy iterable yields, drawn in slices. One item should take well under a slice."""
        items: list[T] = []
        remaining = iter(work)
        while True:
            async with self._turn:
                await asyncio.sleep(0)
            until = time.perf_counter() + self._slice_s
            for item in remaining:
                items.append(item)
                if time.perf_counter() >= until:
                    break
            else:
                return items
