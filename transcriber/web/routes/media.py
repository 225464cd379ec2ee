"""GET /v1/media: the WebSocket Twilio dials. Refusals come before 101; afterwards close codes say why.

1000 done, 1001 going away, 1003 binary or unsupported format, 1007 not JSON, 1008 policy, 1009 message too large,
1011 internal, 1013 over capacity. The reading loop does nothing that takes long: slow readers make Twilio drop audio.
"""

import asyncio
import contextvars
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from transcriber.audio.chunk import AudioChunk
from transcriber.calls.pending_sockets import SocketCredentials
from transcriber.calls.session import Session
from transcriber.calls.session_manager import SessionManager
from transcriber.observability import logs
from transcriber.observability.log_rate_limit import LogRateLimiter
from transcriber.telephony.media_stream import MediaStream, Outcome
from transcriber.telephony.outcomes import StopReceived, StreamRefused
from transcriber.telephony.twilio.messages import Start
from transcriber.web.access import socket_credentials
from transcriber.web.api.errors import HttpRefusal
from transcriber.web.limits import request_rate
from transcriber.web.services import SERVICES
from transcriber.web.transport.direct_socket import DirectSocket

log = logging.getLogger(__name__)
MAX_MESSAGE_BYTES = 64 * 1024
MAX_REASON_BYTES = 120
"""Bytes; a close frame has room for 123."""
SERVER_SIDE_CODES = (WSCloseCode.GOING_AWAY, WSCloseCode.INTERNAL_ERROR, WSCloseCode.TRY_AGAIN_LATER)
"""Ends that are not the sender's fault."""
REFUSALS: Mapping[str, str] = {
    "duplicate": "a stream with this streamSid is live on another server",
    "deleted": "the call was deleted while the stream was open",
}
"""What only the store knows: `ports.Refusal`."""


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """How a stream ended: close code and message for the sender, and the reason that the events give."""

    close_code: int
    message: str
    reason: str


async def media(request: web.Request) -> web.StreamResponse:
    """Take one stream from its first to its last message."""
    services = request.app[SERVICES]
    sessions, refusals = services.sessions, services.metrics.refusals
    if request.headers.get("Upgrade", "").lower() == "websocket":
        credentials = await socket_credentials.credentials_of(request)
    else:
        credentials = HttpRefusal(
            426, "this is a WebSocket endpoint for Twilio Media Streams", {"Upgrade": "websocket"}
        )
    if isinstance(credentials, HttpRefusal):
        refusals.labels(str(credentials.status)).inc()
        return credentials.response()
    # aiohttp refuses messages of this size, not only those above.
    socket = DirectSocket(max_msg_size=MAX_MESSAGE_BYTES + 1, compress=False, autoping=True, timeout=2.0)
    await socket.prepare(request)
    handler = MediaStreamHandler(
        socket, sessions, credentials, services.log_limiter, start_s=services.client_limits.start_s
    )
    ended = await handler.run()
    fruitless = not handler.began or ended.reason in REFUSALS
    request[request_rate.COUNTS_AS_REFUSED] = fruitless and ended.close_code not in SERVER_SIDE_CODES
    if ended.close_code not in (WSCloseCode.OK, WSCloseCode.GOING_AWAY):
        refusals.labels(str(ended.close_code)).inc()
        text, kind = "stream closed with %d: %s", f"stream closed with {ended.close_code}"
        services.log_limiter.log(log, logging.WARNING, kind, text, ended.close_code, ended.message)
    return socket


class MediaStreamHandler:
    """One media socket: reads its messages, admits its stream, hands outcomes to the session, and closes it."""

    def __init__(
        self,
        socket: DirectSocket,
        sessions: SessionManager,
        credentials: SocketCredentials,
        log_limiter: LogRateLimiter,
        *,
        start_s: float,
    ) -> None:
        self._socket = socket
        self._sessions = sessions
        self._credentials = credentials
        self._log_limiter = log_limiter
        self._start_s = start_s
        self._received = MediaStream()
        self._session: Session | None = None

    @property
    def began(self) -> bool:
        """Whether the stream was announced and admitted."""
        return self._session is not None

    async def run(self) -> StreamEnd:
        """Read until the stream ends, close the socket with the reason, then finish the session."""
        ended = StreamEnd(WSCloseCode.INTERNAL_ERROR, "internal error", "error")
        try:
            ended = await self._receive_start() or await self._receive_until_end()
        except Exception as error:  # whatever it is, the session's words must still be written
            kind = f"reading a stream failed: {type(error).__name__}"
            self._log_limiter.log(log, logging.ERROR, kind, "reading a stream failed", exc_info=error)
        finally:
            await self._close(ended)
        return ended

    async def _close(self, ended: StreamEnd) -> None:
        reason = ended.message.encode()[:MAX_REASON_BYTES].decode(errors="ignore").encode()
        closing = asyncio.ensure_future(self._socket.close(code=ended.close_code, message=reason))
        if self._session is not None:
            await self._sessions.finish(self._session, ended.reason)
        await closing

    async def _receive_start(self) -> StreamEnd | None:
        """None once the stream was announced and admitted; admission may take longer: it may load a model."""
        with self._sessions.admission.pending.counted(self._credentials):
            try:
                async with asyncio.timeout(self._start_s):
                    while (began := await self._receive_one()) is None:
                        pass
            except TimeoutError:
                return StreamEnd(WSCloseCode.POLICY_VIOLATION, f"no start within {self._start_s:g} s", "refused")
            return began if isinstance(began, StreamEnd) else await self._admit(began)

    async def _receive_until_end(self) -> StreamEnd:
        """Read on until the sender ends the stream, or somebody else does."""
        if self._session is None:
            raise RuntimeError("listening needs a session")
        ending = self._session.ending
        ended: asyncio.Future[StreamEnd] = asyncio.get_running_loop().create_future()
        reader = asyncio.create_task(self._read(self._session, ended))
        try:
            await asyncio.wait((reader, ended, ending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._socket.take_back()
            reader.cancel()
        if ended.done():
            return ended.result()
        if reader.done() and not reader.cancelled():
            return reader.result()
        await asyncio.wait((reader,))
        reason = ending.result()
        if reason in REFUSALS:
            return StreamEnd(WSCloseCode.POLICY_VIOLATION, REFUSALS[reason], reason)
        return StreamEnd(WSCloseCode.GOING_AWAY if reason == "shutdown" else WSCloseCode.OK, reason, reason)

    async def _read(self, session: Session, ended: "asyncio.Future[StreamEnd]") -> StreamEnd:
        """Of a live stream. Texts are taken as they are read, in the context of this task for the lines they log."""
        context = contextvars.copy_context()

        def take(text: str) -> None:
            context.run(self._take, session, ended, text)

        while True:
            self._socket.hand_over(take)
            message = await self._socket.receive()
            if message.type is not WSMsgType.TEXT:
                return self._other_than_text(message)
            take(message.data)
            if ended.done():
                return ended.result()

    def _take(self, session: Session, ended: "asyncio.Future[StreamEnd]", text: str) -> None:
        """Fifty messages a second and track, so that every call on the way counts."""
        try:
            self._sessions.touch(session.start.stream_sid)
            for outcome in self._received.receive(text):
                if type(outcome) is AudioChunk:
                    session.receive_audio(outcome)
                elif (end := self._handle(session, outcome)) is not None:
                    ended.set_result(end)
                    break
        except Exception as error:  # into `run`, not into the connection
            ended.set_exception(error)
        if ended.done():
            self._socket.take_back()

    async def _receive_one(self) -> Start | StreamEnd | None:
        message = await self._socket.receive()
        if message.type is not WSMsgType.TEXT:
            return self._other_than_text(message)
        for outcome in self._received.receive(message.data):
            if isinstance(outcome, Start):
                return outcome
            if isinstance(outcome, StreamRefused):
                return StreamEnd(outcome.close_code, outcome.reason, "refused")
        return None

    def _other_than_text(self, message: WSMessage) -> StreamEnd:
        match message.type:
            case WSMsgType.BINARY:
                return StreamEnd(
                    WSCloseCode.UNSUPPORTED_DATA, "binary messages are not part of the protocol", "refused"
                )
            case WSMsgType.ERROR:
                code = getattr(message.data, "code", WSCloseCode.PROTOCOL_ERROR)
                return StreamEnd(code, str(message.data)[:100], "refused")
        return StreamEnd(WSCloseCode.OK, "", "disconnected")

    async def _admit(self, start: Start) -> StreamEnd | None:
        logs.call_sid.set(start.call_sid)
        logs.stream_sid.set(start.stream_sid)
        admitted = await self._sessions.admit(start, self._received, self._credentials)
        if isinstance(admitted, StreamRefused):
            return StreamEnd(admitted.close_code, admitted.reason, "refused")
        self._session = admitted
        return None

    @staticmethod
    def _handle(session: Session, outcome: Outcome) -> StreamEnd | None:
        match outcome:
            case StreamRefused(close_code, reason):
                return StreamEnd(close_code, reason, "refused")
            case StopReceived():
                return StreamEnd(WSCloseCode.OK, "", "stop")
        session.receive(outcome)
        return None
