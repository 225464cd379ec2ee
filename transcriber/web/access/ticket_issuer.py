"""Issues tickets, and knows whether that works: by the latest one; while that failed, by trying again."""

from contextlib import suppress

from aiohttp import web

from transcriber.errors import StoreError
from transcriber.store.ports import Tickets

PROBE = "probe"
"""The CallSid of a ticket that is issued to see whether that works."""


class TicketIssuer:
    """Issues tickets for `/v1/twiml`, attached streams and sample calls."""

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets
        self._failed = False

    async def issue(self, call_sid: str) -> str:
        """A new ticket for that call. Raises StoreError."""
        self._failed = True
        ticket = await self._tickets.issue(call_sid)
        self._failed = False
        return ticket

    async def fails(self, *, redis_is_away: bool) -> bool:
        """Whether the last ticket could not be issued, nor can one now: while Redis is away it is not asked."""
        if self._failed and not redis_is_away:
            with suppress(StoreError):
                await self._tickets.spend(await self.issue(PROBE))
        return self._failed


TICKET_ISSUER = web.AppKey("ticket_issuer", TicketIssuer)
