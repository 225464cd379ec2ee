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

    def cursor(self) -> str:
        """The place as text for URLs."""
        return base64.urlsafe_b64encode(f"{self.started_ms}:{self.call_sid}".encode()).decode()

    @classmethod
    def of_cursor(cls, cursor: str) -> "CallCursor":
        """The place of a cursor. Raises BadRequest."""
        try:
            started, _, call_sid = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition(":")
            place = cls(int(started), call_sid)
        except (binascii.Error, ValueError):
            place = cls(0, "")
        if not place.call_sid or not 0 <= place.started_ms <= LAST_MS:
            raise BadRequest("cursor is not one this server gave: ask for the first page again")
        return place


@dataclass(frozen=True, slots=True)
class Looked(Generic[T]):
    """Something in the order of calls was looked at: what was found there, if anything, and what that cost."""

    place: CallCursor
    found: T | None
    cost: int = 1


async def paged(
    walk: AsyncGenerator[Looked[T]], *, limit: int, most_cost: int
) -> tuple[list[tuple[CallCursor, T]], str | None]:
    """Up to `limit` finds, fewer once they have cost `most_cost`; and the cursor to go on from, None at the end."""
    page: list[tuple[CallCursor, T]] = []
    cost = 0
    async with aclosing(walk) as looks:
        async for looked in looks:
            if looked.found is not None:
                if len(page) == limit:
                    return page, page[-1][0].cursor()
                page.append((looked.place, looked.found))
            cost += looked.cost
            if cost >= most_cost:
                return page, looked.place.cursor()
    return page, None
