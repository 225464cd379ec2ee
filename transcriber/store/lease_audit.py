"""Finds live streams that have no lease, for a Redis that has lost some. One server at a time looks."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

from transcriber.store.keys import Keys
from transcriber.store.leases import Lease, Leases
from transcriber.store.redis.client import Client
from transcriber.store.redis.errors import redis_failures

BATCH_CALLS = 500
"""Calls, or leases, that are read at once."""


class LeaseAudit:
    """All methods belong to the event loop's thread. Raises StoreError."""

    def __init__(self, client: Client, keys: Keys, leases: Leases, *, owner: str) -> None:
        self._client = client
        self._keys = keys
        self._leases = leases
        self._owner = owner

    async def run_once(self, *, every_s: float) -> int | None:
        """Give each live stream without a lease one: whoever lives renews it, and the others are found by its end.

        Returns how many had none; None when a server, this one or another, has looked within `every_s`.
        """
        with redis_failures("cannot read the leases"):
            turn = await self._client.set(self._keys.lease_audit, self._owner, nx=True, px=max(1, int(every_s * 1000)))
            if not turn:
                return None
            missing = 0
            leases_of = await self._count_leases()
            async for call_sids in self._live_calls():
                found = await self._without_lease(await self._short_of_leases(call_sids, leases_of))
                await self._leases.renew(found)
                missing += len(found)
            return missing

    async def _count_leases(self) -> Counter[str]:
        """How many leases each call has."""
        members: set[str] = set()  # a member that moves while the set is read may come twice
        async for member, _ in self._client.zscan_iter(self._keys.leases, count=BATCH_CALLS):
            members.add(member)
        return Counter(Lease.parse(member).call_sid for member in members)

    async def _live_calls(self) -> AsyncIterator[Sequence[str]]:
        batch: list[str] = []
        async for call_sid, _ in self._client.zscan_iter(self._keys.live, count=BATCH_CALLS):
            batch.append(call_sid)
            if len(batch) >= BATCH_CALLS:
                yield batch
                batch = []
        if batch:
            yield batch

    async def _short_of_leases(self, call_sids: Sequence[str], leases_of: Counter[str]) -> Sequence[str]:
        """The calls that have more live streams than leases: one small field of each is read."""
        pipeline = self._client.pipeline(transaction=False)
        for call_sid in call_sids:
            pipeline.hget(self._keys.call(call_sid), "live_streams")
        live: list[Any] = await pipeline.execute()
        return [sid for sid, streams in zip(call_sids, live, strict=True) if int(streams or 0) > leases_of[sid]]

    async def _without_lease(self, call_sids: Sequence[str]) -> Sequence[Lease]:
        if not call_sids:
            return []
        pipeline = self._client.pipeline(transaction=False)
        for call_sid in call_sids:
            pipeline.hgetall(self._keys.call(call_sid))
        stored: list[dict[str, str]] = await pipeline.execute()
        return await self._leases.missing(
            [
                Lease(owner, call_sid, name.removeprefix("live:"))
                for call_sid, fields in zip(call_sids, stored, strict=True)
                for name, owner in fields.items()
                if name.startswith("live:")
            ]
        )
