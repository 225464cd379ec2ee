"""Sockets whose start message has not come: the authenticated ones, apart from those that have shown nothing.

Twilio's signature, an API key and a ticket authenticate a socket. An authenticated one is counted as a usual stream, so
that admission stays true. One that is not takes nothing from them: strangers can open sockets and say nothing.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

USUAL_TRACKS = 2
"""How many tracks a stream that has not started yet is counted as."""
ADDRESS_SHARE = 4
"""One address gets so many-th of the room for unauthenticated sockets."""
MIN_PER_ADDRESS = 4
"""But so many in any case: a few calls may begin in the same moment with tickets that only their starts show."""


@dataclass(frozen=True, slots=True)
class SocketCredentials:
    """What a socket showed before its start.

    `address`: the one it counts for while unauthenticated; empty: nobody's. `ticket`: one that was spent, and
    `call_sid` the call it is good for.
    """

    authenticated: bool = False
    address: str = ""
    ticket: str = ""
    call_sid: str = ""


class PendingSockets:
    """How many there are. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._authenticated = 0
        self._unauthenticated: Counter[str] = Counter()

    @property
    def unauthenticated(self) -> int:
        """How many have shown nothing."""
        return self._unauthenticated.total()

    @property
    def sockets(self) -> int:
        """How many there are in all."""
        return self._authenticated + self.unauthenticated

    @property
    def tracks(self) -> int:
        """Tracks that the authenticated ones will want."""
        return USUAL_TRACKS * self._authenticated

    def full_of_unauthenticated(self, address: str, free_tracks: int) -> Literal["address", "all"] | None:
        """Whether one more unauthenticated socket is too much: for its address, or where so many tracks are free."""
        room = max(free_tracks // USUAL_TRACKS, 1)
        if self.unauthenticated >= room:
            return "all"
        most = max(MIN_PER_ADDRESS, room // ADDRESS_SHARE)
        return "address" if address and self._unauthenticated[address] >= most else None

    @contextmanager
    def counted(self, credentials: SocketCredentials) -> Iterator[None]:
        """Inside the block the socket waits for its start and counts."""
        if credentials.authenticated:
            self._authenticated += 1
        else:
            self._unauthenticated[credentials.address] += 1
        try:
            yield
        finally:
            if credentials.authenticated:
                self._authenticated -= 1
            else:
                self._unauthenticated[credentials.address] -= 1
                if self._unauthenticated[credentials.address] <= 0:
                    del self._unauthenticated[credentials.address]
