"""What the calls' hashes say of their streams, for a server that takes over another one's. Raises StoreError."""

from transcriber.store.keys import Keys
from transcriber.store.leases import Lease, renamed
from transcriber.store.redis.client import Client
from transcriber.store.redis.errors import redis_failures


class LiveStreams:
    """Reads names, write numbers and owners of streams."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def current_identity(self, lease: Lease) -> Lease:
        """The stream by the name it has, or is going to have: another server may have its sid."""
        with redis_failures("cannot read the stream"):
            owner = await self._client.hget(self._keys.call(lease.call_sid), f"owner:{lease.stream_sid}")
        return lease if owner in (None, lease.owner) else renamed(lease)

    async def last_write_number(self, lease: Lease) -> int | None:
        """The number of the stream's last write, 0: none yet; None if the stream was closed."""
        names = [f"{name}:{lease.stream_sid}" for name in ("written", "was_last")]
        with redis_failures("cannot read the stream"):
            written, closed = await self._client.hmget(self._keys.call(lease.call_sid), names)
        return int(written or 0) if closed is None else None
