"""What others read from the store: calls, events, what is being published, tickets. Pure."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec

from transcriber.store.search.query import Term

Status = Literal["live", "ended", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallQuery:
    """Which calls; times are epoch milliseconds of the call's start; `cursor` is one of `CallPage`.

    With `terms` only calls that hold all of them, each with `matches` and `match_count`.
    """

    status: Status | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    limit: int = 50
    cursor: str | None = None
    terms: Sequence[Term] = ()


@dataclass(frozen=True, slots=True)
class CallPage:
    """Summaries newest first, and the cursor of the next page, if there is one."""

    calls: Sequence[Mapping[str, Any]]
    cursor: str | None


class CallHistory(Protocol):
    """What was kept. Errors: CallNotFound, CallIsLive, BadRequest (cursor), StoreError."""

    async def calls(self, query: CallQuery) -> CallPage:
        """A page of call summaries. One that would take too long is short and has a cursor; it may have no call."""

    async def call(self, call_sid: str) -> Mapping[str, Any]:
        """One call's summary, as JSON-ready data."""

    def pages(self, call_sid: str, *, after: int = 0) -> AsyncIterator[Sequence[str]]:
        """The JSON of the call's persisted events with seq > `after`, in order, a hundred or so at a time."""

    async def events(self, call_sid: str, *, after: int = 0) -> Sequence[str]:
        """All of them at once: for calls that are known to be short."""

    async def delete(self, call_sid: str) -> None:
        """Remove an ended call and all its keys."""


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """One message of the Redis channels: its call, its channel's last part, its JSON."""

    call_sid: str
    channel: str
    json: str


class Feed(Protocol):
    """What is being published now, by any server on the same Redis."""

    def follow(
        self, call_sid: str | None = None, *, partials: bool = True
    ) -> AbstractAsyncContextManager[AsyncIterator[PublishedEvent]]:
        """Live messages of one call or of all, with or without partials.

        Once entered, nothing published later is missed, unless the reader falls behind its bound: then partials are
        dropped, and at last the iteration ends.
        """


class StatusCallback(msgspec.Struct, frozen=True):
    """Twilio says that it has ended a stream. `error`: in its words why; None: as it should be."""

    stream_sid: str
    error: str | None = None


class StatusCallbacks(Protocol):
    """From the server that was called back to the one that has the stream."""

    async def pass_on(self, callback: StatusCallback) -> None:
        """Tell all servers on the same Redis. Raises StoreError."""


class Tickets(Protocol):
    """One-time passes from the signed voice webhook to the media stream."""

    async def issue(self, call_sid: str) -> str:
        """A new ticket for that call, valid for some minutes."""

    async def spend(self, ticket: str) -> str:
        """The call that the ticket is good for, empty if none; afterwards it is spent."""

    async def redeem(self, ticket: str, call_sid: str) -> bool:
        """Whether the ticket is good for that call; afterwards it is spent."""
