"""Whether tickets can be issued: told by the last one that was wanted, and tried again while that failed."""

from contextlib import suppress

from aiohttp import web

from transcriber.errors import StoreError
from transcriber.store.ports import Tickets

PROBE = "probe"
"""Stands in place of a CallSid."""


class TicketIssuer:
    """The way to tickets."""

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets
        self._failed = False

    async def issue(self, call_sid: str) -> str:
        """A new ticket for that call. Raises StoreError."""
        self._failed = True
        ticket = await self._tickets.issue(call_sid)
        self._failed = False
        return ticket

    async def fails(self) -> bool:
        """Whether the last ticket could not be issued, nor can one now."""
        if self._failed:
            with suppress(StoreError):
                await self._tickets.spend(await self.issue(PROBE))
        return self._failed


TICKET_ISSUER = web.AppKey("issuing", TicketIssuer)
