"""The events of a call as they are kept, read in pages: a call may have tens of thousands."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from transcriber.events.schema import parse
from transcriber.runtime.time_slices import SLICE_S, TimeSlices
from transcriber.store.keys import Keys
from transcriber.store.redis.client import Client

PAGE_EVENTS = 100
"""A page, and so what is read from Redis in one piece."""


class StoredEvents:
    """Reads the streams; `time_slices`: shared by all who read them. Errors of Redis come out as they are."""

    def __init__(self, client: Client, keys: Keys, *, slice_s: float = SLICE_S) -> None:
        self._client = client
        self._keys = keys
        self.time_slices = TimeSlices(slice_s=slice_s)

    async def pages(self, call_sid: str, *, after: int = 0) -> AsyncGenerator[Sequence[str]]:
        """The JSON of the events with seq > `after`, in order; no page is empty."""
        rows = await self._behind(call_sid, f"{max(0, after)}-0")
        async for page in self.rest(call_sid, rows):
            yield page

    async def rest(self, call_sid: str, rows: Any) -> AsyncGenerator[Sequence[str]]:
        """The same from a first page on, which was read as rows of XRANGE."""
        while rows:
            yield [fields["event"] for _, fields in rows]
            rows = await self._behind(call_sid, rows[-1][0]) if len(rows) == PAGE_EVENTS else ()

    async def texts(self, call_sid: str) -> AsyncGenerator[Sequence[str]]:
        """The texts of a call's finals, page by page."""
        async for page in self.pages(call_sid):
            finals = await self.time_slices.collect(map(final_of, page))
            yield [str(final.get("text", "")) for final in finals if final]

    async def _behind(self, call_sid: str, entry: str) -> Any:
        time, _, number = entry.partition("-")
        least = f"{time}-{int(number) + 1}"
        return await self._client.xrange(self._keys.events(call_sid), min=least, max="+", count=PAGE_EVENTS)


def final_of(text: str) -> Mapping[str, Any] | None:
    """The event in that JSON, if it is a final."""
    event = parse(text) if '"final"' in text else {}
    return event if event.get("type") == "final" else None
