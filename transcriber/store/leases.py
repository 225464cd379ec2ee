"""Which live streams have a living server: a lease each, which that server renews. Only Redis's clock counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from transcriber.store.keys import Keys
from transcriber.store.redis.client import Client

LEASE_S = 15.0
BATCH_LEASES = 500

# KEYS: leases. ARGV: ms, members. Answers those that were not there; they are again.
_RENEW = """
local time, lost = redis.call('TIME'), {}
local till = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
for i = 2, #ARGV do
  if not redis.call('ZSCORE', KEYS[1], ARGV[i]) then lost[#lost + 1] = ARGV[i] end
  redis.call('ZADD', KEYS[1], till, ARGV[i])
end
return lost
"""

# KEYS: leases. ARGV: most.
_EXPIRED = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """One live stream and the server it belongs to."""

    owner: str
    call_sid: str
    stream_sid: str

    @property
    def member(self) -> str:
        """Its name in the sorted set; neither sids nor owners hold spaces."""
        return f"{self.owner} {self.call_sid} {self.stream_sid}"

    @classmethod
    def parse(cls, member: str) -> Self:
        """The lease of that name."""
        return cls(*member.split(" "))


def renamed(lease: Lease) -> Lease:
    """The stream by a name that no other server gives: `<sid>.<owner>`. Another time the same; once only."""
    suffix = f".{lease.owner}"
    return replace(lease, stream_sid=lease.stream_sid.removesuffix(suffix) + suffix)


class Leases:
    """The sorted set. Errors of Redis come out as they are. `lease_s`: how long a lease holds without renewal."""

    def __init__(self, client: Client, keys: Keys, *, lease_s: float = LEASE_S) -> None:
        self.lease_s = lease_s
        self._client = client
        self._key = keys.leases
        self._renew = client.register_script(_RENEW)
        self._expired = client.register_script(_EXPIRED)

    async def take(self, lease: Lease) -> None:
        """From now on its owner must renew it."""
        await self.renew([lease])

    async def renew(self, leases: Iterable[Lease]) -> Sequence[Lease]:
        """All of them hold for `lease_s` again. Returns those that were gone: ended by somebody, or lost by Redis."""
        lost: list[Lease] = []
        members = [lease.member for lease in leases]
        for start in range(0, len(members), BATCH_LEASES):
            args: list[Any] = [int(self.lease_s * 1000), *members[start : start + BATCH_LEASES]]
            lost += map(Lease.parse, await self._renew(keys=[self._key], args=args))
        return lost

    async def release(self, lease: Lease) -> None:
        """The stream is not live any more."""
        await self._client.zrem(self._key, lease.member)

    async def expired(self) -> Sequence[Lease]:
        """Some of those whose owners have not renewed them in time."""
        return [Lease.parse(member) for member in await self._expired(keys=[self._key], args=[BATCH_LEASES])]

    async def missing(self, leases: Sequence[Lease]) -> Sequence[Lease]:
        """Those of them that are not there."""
        if not leases:
            return []
        until: Any = await self._client.zmscore(self._key, [lease.member for lease in leases])
        return [lease for lease, score in zip(leases, until, strict=True) if score is None]

    async def of_owner(self, owner: str) -> Sequence[Lease]:
        """All leases of one server."""
        members: Any = await self._client.zrange(self._key, 0, -1)
        return [lease for lease in map(Lease.parse, members) if lease.owner == owner]
