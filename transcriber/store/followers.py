"""What waits for one reader of live events: a bounded queue that drops partials first."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection

from transcriber.errors import StoreError
from transcriber.events.schema import parse
from transcriber.store.ports import PublishedEvent

BEHIND_MESSAGES = 20
"""So many messages behind, a reader has no use for partials that are not the newest."""


class Follower:
    """One reader's bounded queue. Belongs to the event loop's thread.

    It takes the messages of these kinds (last parts of channel names) and of its call, or of all calls. Of a reader
    that is behind, only each track's newest partial waits: an entry whose message is None was superseded.
    """

    def __init__(self, call_sid: str | None, kinds: Collection[str], most: int) -> None:
        self._call_sid = call_sid
        self._kinds = kinds
        self._most = most
        self._waiting: deque[list[PublishedEvent | None]] = deque()
        self._newest: dict[tuple[str, ...], list[PublishedEvent | None]] = {}
        self._superseded = 0
        self._news = asyncio.Event()
        self._failure: StoreError | None = None

    def offer(self, message: PublishedEvent) -> None:
        """Take a message. When full: partials go, and if none is left to go, the following ends."""
        if self._failure is not None or message.channel not in self._kinds:
            return
        if self._call_sid is not None and self._call_sid != message.call_sid:
            return
        if len(self._waiting) >= self._most:
            self._make_room(partials=message.channel != "partial")
        if len(self._waiting) >= self._most:
            if message.channel != "partial":
                self.fail(
                    StoreError(f"this reader fell more than {self._most} messages behind; read the history again")
                )
            return
        entry: list[PublishedEvent | None] = [message]
        if message.channel == "partial" and len(self._waiting) >= BEHIND_MESSAGES:
            self._supersede(message, entry)
        self._waiting.append(entry)
        self._news.set()

    def fail(self, failure: StoreError) -> None:
        """Nothing more comes; what waits is still given out."""
        self._failure = self._failure or failure
        self._news.set()

    async def messages(self) -> AsyncIterator[PublishedEvent]:
        """What was offered, in order; raises StoreError after the last message if the following broke."""
        while True:
            while self._waiting:
                entry = self._waiting.popleft()
                message, entry[0] = entry[0], None
                if message is None:
                    self._superseded -= 1
                else:
                    yield message
            self._newest.clear()
            if self._failure is not None:
                raise self._failure
            self._news.clear()
            await self._news.wait()

    def _supersede(self, partial: PublishedEvent, entry: list[PublishedEvent | None]) -> None:
        """`entry` takes the place of the partial of the same track that came before it."""
        track = _track(partial.json)
        if track is None:
            return
        older = self._newest.get((partial.call_sid, *track))
        if older is not None and older[0] is not None:
            older[0] = None
            self._superseded += 1
        self._newest[partial.call_sid, *track] = entry

    def _make_room(self, *, partials: bool) -> None:
        if partials:
            kept = (entry for entry in self._waiting if entry[0] is not None and entry[0].channel != "partial")
            self._waiting = deque(kept)
            self._newest.clear()
        elif self._superseded:
            self._waiting = deque(entry for entry in self._waiting if entry[0] is not None)
        self._superseded = 0


def _track(text: str) -> tuple[str, str] | None:
    event = parse(text)
    return (str(event["stream_sid"]), str(event["track"])) if {"stream_sid", "track"} <= event.keys() else None
