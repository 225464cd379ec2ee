"""Sockets whose start has not come: those that proved whose they are, apart from those that did not.

What proves: Twilio's signature, an API key, a ticket. A proved one is counted as the usual stream, so that admission
stays true. One that is not takes nothing from the proved: strangers can open sockets and say nothing.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

USUAL_TRACKS = 2
"""What a stream that has not started yet is counted as."""
SHARE = 4
"""Of the unproved sockets that there is room for, one address gets so many-th."""
LEAST_OF_ADDRESS = 4
"""But so many in any case: a few calls may begin in the same moment with tickets that only their starts show."""


@dataclass(frozen=True, slots=True)
class SocketCredentials:
    """What a socket showed before its start. `site`: the address it counts for while unproved; empty: of nobody's.

    `ticket`: one that was spent, and the call it is good for.
    """

    proved: bool = False
    site: str = ""
    ticket: str = ""
    call_sid: str = ""


class PendingSockets:
    """How many there are. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._proved = 0
        self._unproved: Counter[str] = Counter()

    @property
    def unproved(self) -> int:
        """How many have shown nothing."""
        return self._unproved.total()

    @property
    def tracks(self) -> int:
        """Tracks that the proved ones will want."""
        return USUAL_TRACKS * self._proved

    def full_of_unproved(self, site: str, spare_tracks: int) -> Literal["address", "all"] | None:
        """Whether one more unproved socket is too much: for its address, or where so many tracks are free."""
        room = max(spare_tracks // USUAL_TRACKS, 1)
        if self.unproved >= room:
            return "all"
        return "address" if site and self._unproved[site] >= max(LEAST_OF_ADDRESS, room // SHARE) else None

    @contextmanager
    def one(self, proof: SocketCredentials) -> Iterator[None]:
        """It waits inside the block."""
        if proof.proved:
            self._proved += 1
        else:
            self._unproved[proof.site] += 1
        try:
            yield
        finally:
            if proof.proved:
                self._proved -= 1
            else:
                self._unproved[proof.site] -= 1
                if self._unproved[proof.site] <= 0:
                    del self._unproved[proof.site]
