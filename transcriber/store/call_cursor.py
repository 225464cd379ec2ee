"""Where a call stands in the order of calls, and the cursor that says so."""

import base64
import binascii
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar

from transcriber.errors import BadRequest

T = TypeVar("T")
LAST_MS = 253_402_300_799_999
"""Where the calendar ends."""


@dataclass(frozen=True, slots=True, order=True)
class CallCursor:
    """New calls come before it, so pages behind it never shift."""

    started_ms: int
    call_sid: str

    def to_text(self) -> str:
        """As text for URLs."""
        return base64.urlsafe_b64encode(f"{self.started_ms}:{self.call_sid}".encode()).decode()

    @classmethod
    def parse(cls, text: str) -> "CallCursor":
        """From that text. Raises BadRequest."""
        try:
            started, _, call_sid = base64.b64decode(text, altchars=b"-_", validate=True).decode().partition(":")
            cursor = cls(int(started), call_sid)
        except (binascii.Error, ValueError):
            cursor = cls(0, "")
        if not cursor.call_sid or not 0 <= cursor.started_ms <= LAST_MS:
            raise BadRequest("cursor is not one this server gave: ask for the first page again")
        return cursor


@dataclass(frozen=True, slots=True)
class ScanStep(Generic[T]):
    """One step through the order of calls: where, what was found there, if anything, and what that cost."""

    cursor: CallCursor
    found: T | None
    cost: int = 1


async def collect_page(
    scan: AsyncGenerator[ScanStep[T]], *, limit: int, max_cost: int
) -> tuple[list[tuple[CallCursor, T]], str | None]:
    """Up to `limit` finds, fewer once they have cost `max_cost`; and the cursor to go on from, None at the end."""
    page: list[tuple[CallCursor, T]] = []
    cost = 0
    async with aclosing(scan) as steps:
        async for step in steps:
            if step.found is not None:
                if len(page) == limit:
                    return page, page[-1][0].to_text()
                page.append((step.cursor, step.found))
            cost += step.cost
            if cost >= max_cost:
                return page, step.cursor.to_text()
    return page, None
