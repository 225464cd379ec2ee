"""The events of one call, sent to one reader: the history from any point on, then what is published."""

import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from aiohttp import web

from transcriber.errors import CallNotFound, StoreError
from transcriber.events.schema import parse
from transcriber.store.ports import PublishedEvent
from transcriber.web.limits.history_reads import EVENTS_PER_CHARGE
from transcriber.web.limits.request_rate import charge_more
from transcriber.web.services import SERVICES, Services
from transcriber.web.sse.heartbeats import CLOSING, UNAVAILABLE, pause, with_heartbeats
from transcriber.web.sse.response import SseResponse, frame

log = logging.getLogger(__name__)


class CallEventStream:
    """One reader of one call: knows what was sent and so what is missing. A slow one only fills its own queue."""

    def __init__(self, request: web.Request, answer: SseResponse, *, call_sid: str, after: int, partials: bool) -> None:
        self._services: Services = request.app[SERVICES]
        self._request = request
        self._read_limits = request.app[SERVICES].read_limits
        self._closing = request.app[CLOSING]
        self._answer = answer
        self._call_sid = call_sid
        self._sent = after
        self._partials = partials
        self._finalized: dict[tuple[Any, Any], int] = {}

    async def run(self) -> None:
        """Send until the call is over, the reader leaves (ConnectionError) or the server goes down.

        History needs no live events: without them a comment says so, and the history is read again and again.
        """
        outage = ""
        while not self._closing.is_set():
            live = False
            try:
                # Follow first, then read: what is published in between comes twice, and never not at all.
                async with self._services.feed.follow(self._call_sid, partials=self._partials) as messages:
                    live, outage = True, ""
                    if await self._read(messages):
                        return
            except CallNotFound:
                return  # deleted meanwhile
            except StoreError as error:
                if error.reason != outage:
                    outage = error.reason
                    text, call_sid = "live events of call %s: %s; following again", self._call_sid
                    self._services.log_limiter.log(log, logging.WARNING, "live events broke off", text, call_sid, error)
                    await self._answer.comment(UNAVAILABLE.format(outage))
                if not live and await self._catch_up_without_feed():
                    return
            await pause(self._answer, self._closing, self._services.sse_retry_s)

    async def _read(self, messages: AsyncIterator[PublishedEvent]) -> bool:
        """History, then what the feed brings; whether the call is over. False: the feed ended before it."""
        if await self._catch_up():
            return True
        every_s = self._services.heartbeat_s
        async with aclosing(with_heartbeats(messages, every_s=every_s, closing=self._closing)) as arriving:
            async for message in arriving:
                if message is None:
                    await self._answer.heartbeat()
                    # A server that died published no end; the summary knows.
                    over = await self._catch_up()
                else:
                    over = await self._send_published(message)
                if over:
                    return True
        return False

    async def _catch_up_without_feed(self) -> bool:
        """Without live events: send the history; whether that is all there will be."""
        try:
            return await self._catch_up()
        except CallNotFound:
            return True
        except StoreError:
            return False

    async def _catch_up(self) -> bool:
        """Send the history that was not sent yet; whether the call is over."""
        history = self._services.history
        while True:
            # Before the events: of a call that is over by now, they are complete.
            over = (await history.call(self._call_sid)).get("status") != "live"
            before, kind = self._sent, ""
            async for page in history.pages(self._call_sid, after=self._sent):
                charge_more(self._request, len(page) // EVENTS_PER_CHARGE)
                frames = await self._read_limits.time_slices.collect(map(self._frame_of, page))
                await self._answer.send_frames([each for each, _ in frames])
                kind = frames[-1][1]
            # Where the last event and the status do not agree, one came between: the call ended, or was resumed.
            if self._sent == before or over == (kind == "call.ended"):
                return over

    async def _send_published(self, message: PublishedEvent) -> bool:
        event = parse(message.json)
        if message.channel == "partial":
            if not self._stale(event):
                await self._answer.send(message.json, kind=event.get("type"))
            return False
        seq = event.get("seq")
        if not isinstance(seq, int) or seq <= self._sent:
            return False
        over = seq > self._sent + 1 and await self._catch_up()
        if seq > self._sent:
            await self._answer.send_frames([self._frame_of(message.json, event)[0]])
        return over or (event.get("type") == "call.ended" and await self._catch_up())

    def _frame_of(self, text: str, event: dict[str, Any] | None = None) -> tuple[bytes, str]:
        """An event of the history as an SSE frame, empty if it was sent already; and its type."""
        event = parse(text) if event is None else event
        seq, kind = event.get("seq"), event.get("type")
        if kind == "final":
            self._finalized[event.get("stream_sid"), event.get("track")] = _utterance(event)
        if not isinstance(seq, int) or seq <= self._sent:
            return b"", str(kind)
        self._sent = seq
        return frame(text, kind=kind, seq=seq), str(kind)

    def _stale(self, partial: dict[str, Any]) -> bool:
        """Whether its final is out already: it waited in the queue while the history was read."""
        finalized = self._finalized.get((partial.get("stream_sid"), partial.get("track")), -1)
        return _utterance(partial) <= finalized


def _utterance(event: dict[str, Any]) -> int:
    number = event.get("utterance")
    return number if isinstance(number, int) else 0
