"""The joints of the house: small protocols between the session and the parts that can be swapped."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from transcriber.core.audio import Band
from transcriber.core.search import Term
from transcriber.core.transcript import (
    CallEnded,
    CallStarted,
    Event,
    Partial,
    StreamStarted,
    StreamStopped,
)
from transcriber.core.utterance import Hypothesis

Status = Literal["live", "ended", "interrupted"]


class Recognizer(Protocol):
    """Decodes one track. Never used by two threads at once; every method may take long."""

    def accept(self, pcm: bytes) -> bool:
        """Feed 16 kHz 16-bit little-endian mono PCM. True: the model holds the utterance to be over."""

    def partial(self, *, settled: bool) -> Hypothesis:
        """The utterance so far; its `words`, which cost more, only if `settled` is asked for, and not every time."""

    def result(self) -> Hypothesis:
        """End the utterance: what it was. What the recognizer learnt about the speaker stays."""

    def finish(self) -> Hypothesis:
        """End the track: what was still unsaid. Afterwards nothing of this track is left in the recognizer."""


class Engine(Protocol):
    """A loaded model that makes recognizers. `create` may be called from any thread, never from the event loop."""

    @property
    def model(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def band(self) -> Band: ...
    @property
    def takes_grammar(self) -> bool:
        """Whether `create` can close the vocabulary."""

    def create(self, grammar: Sequence[str] = ()) -> Recognizer:
        """A cold recognizer; with a grammar it knows these phrases only. Raises ModelError."""

    def unknown(self, words: Iterable[str]) -> tuple[str, ...]:
        """Those of the words that the model has never heard of, in order."""


class Outlet(Protocol):
    """Where events are kept. Each call is one atomic step: numbered, kept and published together.

    `number` counts a stream's own writes 1, 2, 3 …: a write repeated after an unclear failure carries the same number
    and is recognised. Errors: StoreError, after which the same call may be made again; OutOfStep, after
    which the stream is to be opened again; StreamTaken: the sid is another server's;
    CallDeleted: nothing of the stream is to be kept.
    """

    async def open(
        self,
        call: CallStarted,
        stream: StreamStarted,
        *,
        at_ms: int,
        call_ms: int | None = None,
        after: int = 0,
        seq: int = 0,
        skip: bool = False,
    ) -> int:
        """Begin a stream, or go on with it behind write number `after`. `at_ms`: epoch milliseconds of its start.

        Returns where the stream's zero lies on the call clock, in milliseconds; `call` is written only if the call was
        not live, and the stored `resumed` and `start_ms` are the store's own. Should the store know nothing of it, the
        call began at `call_ms` and goes on behind the number `seq`; should it lack writes up to `after`, that is
        OutOfStep, unless `skip` gives them up.
        """

    async def append(self, stream_sid: str, number: int, event: Event) -> None:
        """Persist and publish one event."""

    async def close(self, number: int, stream: StreamStopped, call: CallEnded) -> bool:
        """End a stream; `call` is written only if it was the call's last live one. Returns whether it was."""

    async def publish(self, partial: Partial) -> None:
        """Publish without keeping."""


class Delivery(Protocol):
    """One stream's way to the outlet, whatever becomes of the store. Nothing but `close` waits. Times of the stream."""

    def keep(self, event: Event) -> None:
        """An event to be kept and published, in this order, once."""

    def show(self, draft: Partial) -> None:
        """To be published only: replaces what waits of the same track, and a Final of the track takes it back."""

    def hear(self, track: str, payload: bytes, at: int) -> None:
        """Audio that is going to be recognised: mu-law and the position of its first sample. For a journal, if any."""

    async def close(self, stream: StreamStopped, call: CallEnded) -> None:
        """The end. Returns when all is written, or safe where a crash cannot take it and on its way."""


Refusal = Literal["duplicate", "deleted"]
"""Why a stream that was admitted is refused after all: it is live on another server, or its call was deleted."""
Refuse = Callable[[Refusal], None]


class Outbox(Protocol):
    """Where a session's events go."""

    def begin(self, call: CallStarted, stream: StreamStarted, *, at_ms: int, refuse: Refuse | None = None) -> Delivery:
        """A new stream. `at_ms`: epoch milliseconds of its zero. `refuse`: called if it may not be one.

        Nothing is kept of it then.
        """


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


class Archive(Protocol):
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
class Published:
    """One message of the Redis channels: its call, its channel's last part, its JSON."""

    call_sid: str
    channel: str
    json: str


class Feed(Protocol):
    """What is being published now, by any server on the same Redis."""

    def follow(self, call_sid: str | None = None) -> AbstractAsyncContextManager[AsyncIterator[Published]]:
        """Live messages of one call or of all. Once entered, nothing published later is missed, unless the reader

        falls behind its bound: then partials are dropped, and at last the iteration ends.
        """


class Tickets(Protocol):
    """One-time passes from the signed voice webhook to the media stream."""

    async def issue(self, call_sid: str) -> str:
        """A new ticket for that call, valid for some minutes."""

    async def spend(self, ticket: str) -> str:
        """The call that the ticket is good for, empty if none; afterwards it is spent."""

    async def redeem(self, ticket: str, call_sid: str) -> bool:
        """Whether the ticket is good for that call; afterwards it is spent."""
