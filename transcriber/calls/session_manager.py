"""The live streams of this server: how they begin, which are ended, and how all leave when the server shuts down."""

import asyncio
import logging
import time
from dataclasses import dataclass, field

from transcriber.calls.admission import AdmissionPolicy, AdmissionRules
from transcriber.calls.metrics import SessionMetrics
from transcriber.calls.pending_sockets import SocketCredentials
from transcriber.calls.session import TICK_S, Session
from transcriber.calls.speaker_labels import SpeakerLabels
from transcriber.observability.log_rate_limit import LogRateLimiter
from transcriber.observability.metrics import Metrics
from transcriber.outbox.ports import Outbox
from transcriber.recognition.service import RecognitionService
from transcriber.store.ports import StatusCallback, Tickets
from transcriber.telephony.media_stream import MediaStream
from transcriber.telephony.outcomes import StreamFault, StreamRefused
from transcriber.telephony.twilio.messages import Start

log = logging.getLogger(__name__)
CALLBACK_GRACE_S = 2.0
"""A status callback may overtake the last messages of its stream by so much."""
NO_CREDENTIALS = SocketCredentials()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParts:
    """What sessions are made of and with."""

    recognition: RecognitionService
    outbox: Outbox
    tickets: Tickets
    metrics: Metrics
    log_limiter: LogRateLimiter = field(default_factory=LogRateLimiter)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTimeouts:
    """How long sessions may take, in seconds."""

    inactivity_s: float = 120
    """Without a message for so long, a stream is ended."""
    finish_s: float = 30
    """How long a stream's rest may take to be recognised."""
    callback_grace_s: float = CALLBACK_GRACE_S


class SessionManager:
    """The registry of live streams. All methods belong to the event loop's thread."""

    def __init__(self, rules: AdmissionRules, parts: SessionParts, timeouts: SessionTimeouts | None = None) -> None:
        self._live: dict[str, Session] = {}
        self.admission = AdmissionPolicy(
            rules,
            self._live,
            load=parts.recognition.load,
            tickets=parts.tickets,
            log_limiter=parts.log_limiter,
        )
        self._timeouts = timeouts or SessionTimeouts()
        self._recognition = parts.recognition
        self._outbox = parts.outbox
        self._metrics = SessionMetrics(
            parts.metrics, self._live, admission=self.admission, recognition=parts.recognition
        )
        self._speakers = SpeakerLabels()
        self._last_message_at: dict[str, float] = {}
        self._skip_drain = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def live_streams(self) -> int:
        """Streams being received or finished."""
        return len(self._live)

    @property
    def backlog_s(self) -> float:
        """Seconds of audio that wait for recognition, of the track that is furthest behind."""
        return max((session.backlog_s for session in self._live.values()), default=0.0)

    async def admit(
        self, start: Start, received: MediaStream, credentials: SocketCredentials = NO_CREDENTIALS
    ) -> Session | StreamRefused:
        """The session of an announced stream, or why there is none. May load a model.

        `credentials`: what its socket showed before its start.
        """
        refused = self.admission.refusal(start) or await self.admission.check_ticket(start, credentials)
        if refused is not None:
            return refused
        reserved_tracks = self.admission.reserved_tracks(start, credentials)
        recognition = await self._recognition.open_stream(start.parameters)
        if isinstance(recognition, StreamRefused):
            return recognition
        if (refused := self.admission.refusal(start, reserved_tracks=reserved_tracks)) is not None:
            return refused
        session = Session(
            start,
            received,
            recognition=recognition,
            outbox=self._outbox,
            speakers=self._speakers.of(start),
            delay=self._metrics.final_delay(recognition.options.endpoint_ms),
        )
        self._report_shared_tracks(session)
        self._live[start.stream_sid] = session
        self._empty.clear()
        self.touch(start.stream_sid)
        self._metrics.update()
        log.info("stream opened: %s", "+".join(start.tracks))
        return session

    def touch(self, stream_sid: str) -> None:
        """A message came on the stream."""
        self._last_message_at[stream_sid] = time.monotonic()

    async def finish(self, session: Session, reason: str) -> None:
        """Recognise and write the rest of a stream, then forget it."""
        start = session.start
        try:
            await session.finish(reason, within_s=self._timeouts.finish_s)
        finally:
            self._live.pop(start.stream_sid, None)
            self._last_message_at.pop(start.stream_sid, None)
            if not self._live:
                self._empty.set()
            self._metrics.stream_ended(session, reason)

    def end(self, stream_sid: str, reason: str) -> bool:
        """End a stream that its status callback calls over, once nothing comes any more. False: not one of ours."""
        session = self._live.get(stream_sid)
        if session is not None:
            session.end_if_quiet(
                reason, self._timeouts.callback_grace_s, lambda: self._last_message_at.get(stream_sid, 0.0)
            )
        return session is not None

    def heed_callback(self, callback: StatusCallback) -> bool:
        """Take what Twilio says of a stream. False: not one of ours."""
        if callback.error is not None:
            self.report(callback.stream_sid, "twilio_error", callback.error)
        return self.end(callback.stream_sid, "callback")

    def report(self, stream_sid: str, code: str, message: str) -> None:
        """Make something a stream.error event of the stream, if it is one of ours."""
        if (session := self._live.get(stream_sid)) is not None:
            session.report(StreamFault(code, message))

    async def watch_stalled_tracks(self) -> None:
        """Notice tracks whose frames have stopped; runs as long as the server."""
        while True:
            await asyncio.sleep(TICK_S)
            self._tick()

    def _tick(self) -> None:
        for session in list(self._live.values()):
            session.tick()  # not in the loop above, which would hold the last one while it waits

    async def watch_inactivity(self) -> None:
        """End streams on which nothing came for too long, and update the metrics; runs as long as the server."""
        inactivity_s = self._timeouts.inactivity_s
        while True:
            self._metrics.update()
            await asyncio.sleep(min(1.0, inactivity_s / 4))
            oldest = time.monotonic() - inactivity_s
            for stream_sid, last_message_at in list(self._last_message_at.items()):
                if last_message_at < oldest and (session := self._live.get(stream_sid)) is not None:
                    session.end("inactivity")

    async def drain(self, within_s: float) -> None:
        """Admit nobody any more; live streams may go on for so long, then they are ended and finished."""
        self.admission.draining = True
        waits = [asyncio.ensure_future(event.wait()) for event in (self._empty, self._skip_drain)]
        await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if self._live:
            log.warning("%d live streams are ended now: the server goes down", len(self._live))
        for session in list(self._live.values()):
            session.end("shutdown")
        await self._empty.wait()

    def skip_drain(self) -> None:
        """Drain no longer than it takes to finish what was received."""
        self._skip_drain.set()

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
