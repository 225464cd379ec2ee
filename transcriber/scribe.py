"""Writes one stream's story, in order: what was noted becomes events, and events go to the outlet.

One task writes; whoever notes never waits. Times of the stream become times of the call here, once the outlet has said
where the stream began. No partial passes by what must be kept, and of the partials only a track's newest waits.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from transcriber.core import stream as wire
from transcriber.core.transcript import (
    CallEnded,
    CallStarted,
    Dtmf,
    Event,
    Final,
    Gap,
    Partial,
    StreamError,
    StreamStarted,
    StreamStopped,
    Word,
)
from transcriber.core.twilio import Start
from transcriber.core.utterance import Draft, Utterance
from transcriber.errors import StoreError
from transcriber.metrics import Metrics
from transcriber.ports import Outlet

log = logging.getLogger(__name__)
T = TypeVar("T")
Fact = Utterance | wire.Missing | wire.Pressed | wire.Fault

MOST_WAITING = 10_000
"""Facts that wait for Redis, per stream. Beyond it new ones are dropped, counted and logged as an error."""
RETRY_S = (0.05, 0.2, 0.5, 1.0, 2.0)
"""Pauses between tries of one write; the last one repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What every event of a stream repeats."""

    start: Start
    speakers: Mapping[str, str]
    language: str
    model: str
    started_ms: int
    """Epoch milliseconds at which the start message came."""


class Scribe:
    """The writer of one stream. All methods belong to the event loop's thread."""

    def __init__(self, identity: Identity, outlet: Outlet, *, metrics: Metrics) -> None:
        self.lost = 0
        """Facts that were not written: dropped over the bound, or left when time was up."""
        self._identity = identity
        self._outlet = outlet
        self._metrics = metrics
        self._facts: deque[tuple[Fact, str, str]] = deque()
        self._drafts: dict[str, Draft] = {}
        self._news = asyncio.Event()
        self._ending: tuple[str, Mapping[str, int], Mapping[str, int]] | None = None
        self._offset_ms = 0
        self._written = 0
        self._task = asyncio.create_task(self._write(), name=f"scribe-{identity.start.stream_sid}")

    def note(self, fact: Fact, track: str = "") -> None:
        """Something to be kept and published. It makes the track's waiting draft stale if it is an utterance."""
        if isinstance(fact, Utterance):
            self._drafts.pop(track, None)
        if len(self._facts) >= MOST_WAITING:
            self._lose(1)
            return
        self._facts.append((fact, track, _now()))
        self._news.set()

    def sketch(self, draft: Draft, track: str) -> None:
        """Something to be published only; replaces what waits of the same track."""
        self._drafts[track] = draft
        self._news.set()

    async def close(self, reason: str, *, audio_ms: Mapping[str, int], faults: Mapping[str, int]) -> None:
        """Write what is left and the end of the stream."""
        self._ending = (reason, audio_ms, faults)
        self._news.set()
        await self._task

    def abandon(self) -> None:
        """Time is up: what was not written is counted and logged."""
        self._task.cancel()
        self._lose(len(self._facts) + 1)

    async def _write(self) -> None:
        self._offset_ms = await self._persist(self._open)
        while self._ending is None or self._facts:
            await self._news.wait()
            self._news.clear()
            await self._write_facts()
            await self._write_drafts()
        await self._persist(self._close)

    async def _write_facts(self) -> None:
        while self._facts:
            event = self._event(*self._facts[0])
            number = self._written + 1

            async def append(event: Event = event, number: int = number) -> None:
                await self._outlet.append(self._identity.start.stream_sid, number, event)

            await self._persist(append)
            self._written = number
            self._facts.popleft()
            if isinstance(event, Final):
                self._metrics.finals.inc()
                self._metrics.words.inc(len(event.words))

    async def _write_drafts(self) -> None:
        while self._drafts and not self._facts:
            track = next(iter(self._drafts))
            try:
                await self._outlet.publish(self._partial(self._drafts.pop(track), track))
                self._metrics.partials.inc()
            except StoreError:
                self._metrics.publish_failures.inc()

    async def _persist(self, write: Callable[[], Awaitable[T]]) -> T:
        """Repeat a write until it succeeds; `close` is what ends it."""
        tries = 0
        while True:
            try:
                return await write()
            except StoreError as error:
                self._metrics.publish_failures.inc()
                if tries == 0:
                    log.warning("Redis does not take what is written; trying on: %s", error)
                await asyncio.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)])
                tries += 1

    def _lose(self, count: int) -> None:
        if count:
            self.lost += count
            self._metrics.events_lost.inc(count)
            log.error("%d events of this stream are lost: Redis was away too long", self.lost)

    async def _open(self) -> int:
        identity, start = self._identity, self._identity.start
        call = CallStarted(call_sid=start.call_sid, account_sid=start.account_sid, resumed=False, at=_now())
        stream = StreamStarted(
            call_sid=start.call_sid,
            stream_sid=start.stream_sid,
            tracks=start.tracks,
            speakers=identity.speakers,
            start_ms=0,
            language=identity.language,
            model=identity.model,
            parameters={name: value for name, value in start.parameters.items() if name != "ticket"},
            at=call.at,
        )
        return await self._outlet.open(call, stream, at_ms=identity.started_ms)

    async def _close(self) -> None:
        reason, audio_ms, faults = self._ending or ("", {}, {})
        start, at = self._identity.start, _now()
        stream = StreamStopped(
            call_sid=start.call_sid,
            stream_sid=start.stream_sid,
            reason=reason,
            audio_ms=audio_ms,
            errors=faults,
            at=at,
        )
        call = CallEnded(call_sid=start.call_sid, reason=reason, at=at)
        await self._outlet.close(self._written + 1, stream, call)

    def _event(self, fact: Fact, track: str, at: str) -> Event:
        start, offset = self._identity.start, self._offset_ms
        call_sid, stream_sid = start.call_sid, start.stream_sid
        match fact:
            case Utterance():
                return self._final(fact, track, at)
            case wire.Missing():
                from_ms, to_ms = fact.from_ms + offset, fact.to_ms + offset
                return Gap(
                    call_sid=call_sid, stream_sid=stream_sid, track=fact.track, from_ms=from_ms, to_ms=to_ms, at=at
                )
            case wire.Pressed():
                start_ms = fact.at_ms + offset
                return Dtmf(
                    call_sid=call_sid,
                    stream_sid=stream_sid,
                    track=fact.track,
                    digit=fact.digit,
                    start_ms=start_ms,
                    at=at,
                )
            case wire.Fault():
                return StreamError(
                    call_sid=call_sid, stream_sid=stream_sid, code=fact.code, message=fact.message, at=at
                )

    def _final(self, spoken: Utterance, track: str, at: str) -> Final:
        identity, offset = self._identity, self._offset_ms
        words = tuple(
            Word(word.word, word.start_ms + offset, word.end_ms + offset, word.confidence) for word in spoken.words
        )
        return Final(
            call_sid=identity.start.call_sid,
            stream_sid=identity.start.stream_sid,
            track=track,
            speaker=identity.speakers[track],
            utterance=spoken.utterance,
            text=spoken.text,
            start_ms=words[0].start_ms,
            end_ms=words[-1].end_ms,
            confidence=spoken.confidence,
            words=words,
            language=identity.language,
            model=identity.model,
            at=at,
        )

    def _partial(self, draft: Draft, track: str) -> Partial:
        identity, offset = self._identity, self._offset_ms
        return Partial(
            call_sid=identity.start.call_sid,
            stream_sid=identity.start.stream_sid,
            track=track,
            speaker=identity.speakers[track],
            utterance=draft.utterance,
            revision=draft.revision,
            text=draft.text,
            stable=draft.stable,
            start_ms=draft.start_ms + offset,
            end_ms=draft.end_ms + offset,
            language=identity.language,
            model=identity.model,
            at=_now(),
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
