"""All live streams of this server: who is let in, who is ended, and how everybody leaves at the end."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from transcriber.calls import metrics as session_metrics
from transcriber.calls.pending_sockets import USUAL_TRACKS, PendingSockets, SocketCredentials
from transcriber.calls.session import TICK_S, Session
from transcriber.calls.speaker_labels import SpeakerLabels
from transcriber.errors import StoreError
from transcriber.observability.log_rate_limit import LogRateLimiter
from transcriber.observability.metrics import Metrics
from transcriber.outbox.ports import Outbox
from transcriber.recognition.service import RecognitionService
from transcriber.store.ports import Tickets
from transcriber.telephony.media_stream import MediaStream
from transcriber.telephony.outcomes import StreamFault, StreamRefused
from transcriber.telephony.twilio.messages import Start

log = logging.getLogger(__name__)
CALLBACK_GRACE_S = 2.0
"""A status callback may overtake the last messages of its stream."""
NOTHING = SocketCredentials()


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionPolicy:
    """Who is let in, and for how long. `max_tracks` says how many live tracks there may be now; times in seconds."""

    max_tracks: Callable[[], int]
    account_sids: tuple[str, ...] = ()
    """Empty: any."""
    require_ticket: bool = False
    inactivity_s: float = 120
    finish_s: float = 30
    """How long a stream's rest may take to be recognised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParts:
    """What the registry works with."""

    ears: RecognitionService
    outbox: Outbox
    tickets: Tickets
    metrics: Metrics
    log_budget: LogRateLimiter = field(default_factory=LogRateLimiter)


class SessionManager:
    """The registry. All methods belong to the event loop's thread."""

    def __init__(self, rules: AdmissionPolicy, parts: SessionParts) -> None:
        self.rules = rules
        self.draining = False
        self._ears = parts.ears
        self._outbox = parts.outbox
        self._tickets = parts.tickets
        self._metrics = parts.metrics
        self._log_budget = parts.log_budget
        self._metrics.sockets_unproved.set_function(lambda: self.waiting.unproved)
        self._live: dict[str, Session] = {}
        self._speakers = SpeakerLabels()
        self.waiting = PendingSockets()
        self._heard_at: dict[str, float] = {}
        self._hurry = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def live_tracks(self) -> int:
        """Tracks being received or finished."""
        return sum(len(session.start.tracks) for session in self._live.values())

    @property
    def live_streams(self) -> int:
        """Streams being received or finished."""
        return len(self._live)

    @property
    def full(self) -> bool:
        """Whether one more usual stream would be too much. Sockets that proved nothing do not count."""
        expected = self.live_tracks + self.waiting.tracks + USUAL_TRACKS
        return expected > max(self.rules.max_tracks(), USUAL_TRACKS) or self._ears.lanes.load.behind

    def full_of_unproved(self, site: str) -> Literal["address", "all"] | None:
        """Whether one more socket that proves nothing would be too much: for its address, or for all together."""
        if self.full:
            return "all"
        return self.waiting.full_of_unproved(site, self.rules.max_tracks() - self.live_tracks - self.waiting.tracks)

    @property
    def backlog_s(self) -> float:
        """Seconds of audio that wait for recognition, of the track that is furthest behind."""
        return max((session.backlog_s for session in self._live.values()), default=0.0)

    async def admit(
        self, start: Start, received: MediaStream, proof: SocketCredentials = NOTHING
    ) -> Session | StreamRefused:
        """The session of an announced stream, or why there is none. `proof`: what its socket showed before."""
        refused = self._refusal(start) or await self._check_ticket(start, proof)
        if refused is not None:
            return refused
        # Whoever proved nothing leaves room for those that did and are about to start.
        kept = 0 if proof.proved or start.parameters.get("ticket") else self.waiting.tracks
        hearing = await self._ears.open_stream(start.parameters)
        if isinstance(hearing, StreamRefused):
            return hearing
        if (refused := self._refusal(start, kept=kept)) is not None:
            return refused
        session = Session(start, received, hearing=hearing, outbox=self._outbox, speakers=self._speakers.of(start))
        self._report_shared_tracks(session)
        self._live[start.stream_sid] = session
        self._empty.clear()
        self.touch(start.stream_sid)
        self._measure()
        log.info("stream opened: %s", "+".join(start.tracks))
        return session

    def touch(self, stream_sid: str) -> None:
        """Something came on the stream."""
        self._heard_at[stream_sid] = time.monotonic()

    async def finish(self, session: Session, reason: str) -> None:
        """See a stream off: its rest is recognised and written, then it is forgotten."""
        start = session.start
        try:
            await session.finish(reason, within_s=self.rules.finish_s)
        finally:
            self._live.pop(start.stream_sid, None)
            self._heard_at.pop(start.stream_sid, None)
            if not self._live:
                self._empty.set()
            session_metrics.count(self._metrics, session, reason)
            self._measure()

    def end(self, stream_sid: str, reason: str) -> bool:
        """End a stream that its status callback calls over, if it is: nothing may come any more.

        What was on its way may still arrive for CALLBACK_GRACE_S. False: not one of ours.
        """
        session = self._live.get(stream_sid)
        if session is not None:
            session.end_if_quiet(reason, CALLBACK_GRACE_S, lambda: self._heard_at.get(stream_sid, 0.0))
        return session is not None

    def report(self, stream_sid: str, code: str, message: str) -> None:
        """Make something a stream.error event of the stream, if it is one of ours."""
        if (session := self._live.get(stream_sid)) is not None:
            session.report(StreamFault(code, message))

    async def tick(self) -> None:
        """Notice tracks whose frames have stopped; runs as long as the server."""
        while True:
            await asyncio.sleep(TICK_S)
            self._tick()

    def _tick(self) -> None:
        for session in list(self._live.values()):
            session.tick()  # not in `tick`, which would hold the last one while it waits

    async def watch(self) -> None:
        """End streams that have been silent for too long; runs as long as the server."""
        while True:
            self._measure()
            await asyncio.sleep(min(1.0, self.rules.inactivity_s / 4))
            oldest = time.monotonic() - self.rules.inactivity_s
            for stream_sid, heard_at in list(self._heard_at.items()):
                if heard_at < oldest and (session := self._live.get(stream_sid)) is not None:
                    session.end("inactivity")

    async def drain(self, within_s: float) -> None:
        """Let nobody in any more; live streams may go on for so long, then they are ended and finished."""
        self.draining = True
        waiting = [asyncio.ensure_future(event.wait()) for event in (self._empty, self._hurry)]
        await asyncio.wait(waiting, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        for waiter in waiting:
            waiter.cancel()
        if self._live:
            log.warning("%d live streams are ended now: the server goes down", len(self._live))
        for session in list(self._live.values()):
            session.end("shutdown")
        await self._empty.wait()

    def hurry(self) -> None:
        """Drain no longer than it takes to finish what was received."""
        self._hurry.set()

    def _refusal(self, start: Start, *, kept: int = 0) -> StreamRefused | None:
        if self.rules.account_sids and start.account_sid not in self.rules.account_sids:
            return StreamRefused(1008, "streams of this account are not accepted")
        if self.draining:
            return StreamRefused(1001, "the server is shutting down")
        if start.stream_sid in self._live:
            return StreamRefused(1008, "a stream with this streamSid is live already")
        if self.live_tracks + kept + len(start.tracks) > self.rules.max_tracks():
            return StreamRefused(1013, "over capacity, try again later")
        return None

    async def _check_ticket(self, start: Start, proof: SocketCredentials) -> StreamRefused | None:
        ticket = start.parameters.get("ticket", "")
        if proof.ticket and proof.call_sid != start.call_sid:
            return StreamRefused(1008, "the ticket is not good for this call")
        if proof.ticket and ticket in ("", proof.ticket):
            return None
        if not ticket:
            return StreamRefused(1008, "a ticket is required") if self.rules.require_ticket else None
        try:
            good = await self._tickets.redeem(ticket, start.call_sid)
        except StoreError as error:
            said = "a ticket could not be checked: %s"
            self._log_budget.log(log, logging.ERROR, "ticket not checked", said, error)
            # Where none is demanded, one that cannot be checked proves as much as none.
            if not self.rules.require_ticket:
                return None
            return StreamRefused(1013, "the ticket could not be checked, try again later")
        return None if good else StreamRefused(1008, "the ticket is not good for this call")

    def _report_shared_tracks(self, session: Session) -> None:
        mine = session.start
        others = (other.start for other in self._live.values() if other.start.call_sid == mine.call_sid)
        shared = {track for other in others for track in other.tracks} & set(mine.tracks)
        if shared:
            carried = " and ".join(sorted(shared))
            why = (
                f"another live stream of this call carries {carried}, too: both are transcribed, talk time counts once"
            )
            session.report(StreamFault("duplicate_track", why))

    def _measure(self) -> None:
        session_metrics.measure(self._metrics, self._live.values(), ears=self._ears, capacity=self.rules.max_tracks())
