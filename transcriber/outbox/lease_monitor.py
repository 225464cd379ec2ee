"""Keeps a server's streams alive in Redis, and ends those of servers that are not.

Somebody else's stream is only ended after Redis was there for a whole lease without a break: when it comes back after
an outage, all leases have run out, those of the living too.
"""

import asyncio
import logging
import time

from transcriber.errors import StoreError
from transcriber.outbox.outbox import Outbox
from transcriber.store.event_log import RedisEventLog
from transcriber.store.lease_audit import LeaseAudit
from transcriber.store.redis.errors import redis_failures

log = logging.getLogger(__name__)
RENEW_S = 4.0
"""With the length of leases it bounds how long a dead server's call stays live: about 20 s."""
AUDIT_S = 60.0
"""How often one of all servers looks for streams without a lease."""
MISSED_ROUNDS = 3
"""A pause between two rounds that is as long as so many means that the machine slept."""


class LeaseMonitor:
    """Runs beside the server; belongs to the event loop's thread."""

    def __init__(
        self,
        outbox: Outbox,
        event_log: RedisEventLog,
        audit: LeaseAudit,
        *,
        renew_s: float = RENEW_S,
        audit_s: float = AUDIT_S,
    ) -> None:
        self._renew_s = renew_s
        self._audit_s = audit_s
        self._outbox = outbox
        self._secondary_writes = event_log.secondary_writes
        self._audit = audit
        self._leases = event_log.leases
        self._audited = time.time()
        self._redis_since: float | None = None
        self._last = time.time()

    async def run(self) -> None:
        """`run_once` again and again, for ever."""
        while True:
            try:
                await self.run_once()
            except Exception:  # without leases the living would be taken for dead
                log.exception("keeping the leases failed")
            await asyncio.sleep(self._renew_s)

    async def run_once(self) -> None:
        """Renew our leases, look for dead servers' directories and for leases that have run out."""
        now = time.time()
        if not 0 <= now - self._last < MISSED_ROUNDS * self._renew_s:
            self._redis_since = None
        self._last = now
        try:
            await self._renew()
            await self._outbox.takeover.begin()
            if self._redis_since is None:
                self._redis_since = now
            elif now - self._redis_since >= self._leases.lease_s:
                await self._sweep()
                if now - self._audited >= self._audit_s:
                    self._audited = now
                    await self._audit.run_once(every_s=self._audit_s)
        except StoreError as error:
            self._redis_since = None
            log.debug("no leases are kept: %s", error)
        except OSError as error:
            log.error("the outbox cannot be looked through: %s", error)

    async def _renew(self) -> None:
        ours = {publisher.lease: publisher for publisher in self._outbox.publishers}
        try:
            with redis_failures("cannot renew the leases"):
                lost = await self._leases.renew(ours)
        except StoreError as error:
            if error.reason != "away":  # then everything is, and that is logged
                self._secondary_writes.failed("leases", error)
            raise
        self._secondary_writes.succeeded("leases")
        for lease in lost:
            ours[lease].verify()

    async def _sweep(self) -> None:
        with redis_failures("cannot read the leases"):
            expired = await self._leases.expired()
        for lease in expired:
            await self._outbox.takeover.interrupt(lease)
