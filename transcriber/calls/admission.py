"""Who may start a stream: decided by capacity, account, ticket, and by the sockets whose start has not come yet."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from transcriber.calls.pending_sockets import USUAL_TRACKS, PendingSockets, SocketCredentials
from transcriber.calls.session import Session
from transcriber.errors import StoreError
from transcriber.observability.log_rate_limit import LogRateLimiter
from transcriber.recognition.load_monitor import RecognitionLoad
from transcriber.store.ports import Tickets
from transcriber.telephony.outcomes import StreamRefused
from transcriber.telephony.twilio.messages import Start

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionRules:
    """What the settings say about it. `max_tracks()`: how many live tracks there may be now."""

    max_tracks: Callable[[], int]
    account_sids: tuple[str, ...] = ()
    """Empty: any."""
    require_ticket: bool = False
    takes_streams: bool = True
    """False: a server of the API alone is always full."""


class AdmissionPolicy:
    """Applies the rules to the streams that are live, by StreamSid. Belongs to the event loop's thread."""

    def __init__(
        self,
        rules: AdmissionRules,
        live: Mapping[str, Session],
        *,
        load: RecognitionLoad,
        tickets: Tickets,
        log_limiter: LogRateLimiter,
    ) -> None:
        self.draining = False
        """Whether the server shuts down and admits nobody any more."""
        self.pending = PendingSockets()
        self._rules = rules
        self._live = live
        self._load = load
        self._tickets = tickets
        self._log_limiter = log_limiter

    @property
    def takes_streams(self) -> bool:
        """Whether it ever does; a server of the API alone does not."""
        return self._rules.takes_streams

    @property
    def why_full(self) -> str:
        """What `full` means, for people."""
        return "no room for another call" if self.takes_streams else "this server takes no calls: NO_MEDIA is set"

    @property
    def max_tracks(self) -> int:
        """How many live tracks there may be now."""
        return self._rules.max_tracks() if self.takes_streams else 0

    @property
    def live_tracks(self) -> int:
        """Tracks being received or finished."""
        return sum(len(session.start.tracks) for session in self._live.values())

    @property
    def full(self) -> bool:
        """Whether one more usual stream would be too much. Unauthenticated sockets do not count."""
        if not self.takes_streams:
            return True
        expected = self.live_tracks + self.pending.tracks + USUAL_TRACKS
        return expected > max(self.max_tracks, USUAL_TRACKS) or self._load.overloaded

    def full_of_unauthenticated(self, address: str) -> Literal["address", "all"] | None:
        """Whether one more unauthenticated socket would be too much: for its address, or for all together."""
        if self.full:
            return "all"
        return self.pending.full_of_unauthenticated(address, self.max_tracks - self.live_tracks - self.pending.tracks)

    def refusal(self, start: Start, *, reserved_tracks: int = 0) -> StreamRefused | None:
        """Why the announced stream may not be, its ticket aside. `reserved_tracks` are not free for it."""
        if self._rules.account_sids and start.account_sid not in self._rules.account_sids:
            return StreamRefused(1008, "streams of this account are not accepted")
        if self.draining:
            return StreamRefused(1001, "the server is shutting down")
        if start.stream_sid in self._live:
            return StreamRefused(1008, "a stream with this streamSid is live already")
        if self.live_tracks + reserved_tracks + len(start.tracks) > self.max_tracks:
            return StreamRefused(1013, "over capacity, try again later")
        return None

    def reserved_tracks(self, start: Start, credentials: SocketCredentials) -> int:
        """Tracks that a stream without any proof leaves free for pending sockets that have shown one."""
        return 0 if credentials.authenticated or start.parameters.get("ticket") else self.pending.tracks

    async def check_ticket(self, start: Start, credentials: SocketCredentials) -> StreamRefused | None:
        """Why the stream's ticket does not let it in; afterwards the ticket is spent."""
        ticket = start.parameters.get("ticket", "")
        if credentials.ticket and credentials.call_sid != start.call_sid:
            return StreamRefused(1008, "the ticket is not good for this call")
        if credentials.ticket and ticket in ("", credentials.ticket):
            return None
        if not ticket:
            return StreamRefused(1008, "a ticket is required") if self._rules.require_ticket else None
        try:
            good = await self._tickets.redeem(ticket, start.call_sid)
        except StoreError as error:
            text = "a ticket could not be checked: %s"
            self._log_limiter.log(log, logging.ERROR, "ticket not checked", text, error)
            # Where none is demanded, one that cannot be checked proves as much as none.
            if not self._rules.require_ticket:
                return None
            return StreamRefused(1013, "the ticket could not be checked, try again later")
        return None if good else StreamRefused(1008, "the ticket is not good for this call")
