"""Where a call stands in the order of calls, and the cursor that says so."""

import base64
import binascii
from dataclasses import dataclass

from transcriber.errors import BadRequest


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """New calls come before it, so pages behind it never shift."""

    started_ms: int
    call_sid: str

    def cursor(self) -> str:
        """The place as text for URLs."""
        return base64.urlsafe_b64encode(f"{self.started_ms}:{self.call_sid}".encode()).decode()

    @classmethod
    def of_cursor(cls, cursor: str) -> "Place":
        """The place of a cursor. Raises BadRequest."""
        try:
            started, _, call_sid = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition(":")
            place = cls(int(started), call_sid)
        except (binascii.Error, ValueError):
            place = cls(0, "")
        if not place.call_sid or not 0 <= place.started_ms < 2**53:
            raise BadRequest("cursor is not one this server gave: ask for the first page again")
        return place
