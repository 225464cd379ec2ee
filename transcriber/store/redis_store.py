"""The face of the store: one object with everything that is kept in Redis. How to connect lives in `redis.client`."""

import asyncio
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from redis.exceptions import NoPermissionError

from transcriber.errors import ConfigError, StoreError
from transcriber.observability.metrics import Metrics
from transcriber.runtime.time_slices import SLICE_S
from transcriber.store import scripts
from transcriber.store.call_deletion import CallDeletion
from transcriber.store.call_history import RedisCallHistory
from transcriber.store.call_list import CallList
from transcriber.store.event_log import RedisEventLog
from transcriber.store.feed import RedisFeed
from transcriber.store.index_repair import IndexRepair
from transcriber.store.keys import Keys
from transcriber.store.lease_audit import LeaseAudit
from transcriber.store.leases import LEASE_S
from transcriber.store.redis import acl_check
from transcriber.store.redis.batching import CommandBatches
from transcriber.store.redis.client import READING_CONNECTIONS, READING_DEADLINE_S, Client, connect, disconnect
from transcriber.store.redis.database_guard import DatabaseGuard
from transcriber.store.redis.errors import redis_failures
from transcriber.store.search.index import SearchIndex
from transcriber.store.search.index_writer import IndexWriter
from transcriber.store.secondary_write_health import SecondaryWriteHealth
from transcriber.store.status_callbacks import RedisStatusCallbacks
from transcriber.store.stored_events import StoredEvents
from transcriber.store.tickets import RedisTickets

PROBE_INTERVAL_S = 1.0
"""However often the state is asked for, Redis is not asked more often."""
PROBE_TTL_S = 60


class RedisStore:
    """Everything that is kept in Redis.

    It writes over one client, and history is read over a second one. An async context manager: leaving it closes all
    connections. `owner`: the server whose streams are written.
    """

    def __init__(
        self,
        client: Client,
        reading_client: Client,
        keys: Keys,
        *,
        ttl_s: int,
        owner: str,
        metrics: Metrics,
        lease_s: float = LEASE_S,
        slice_s: float = SLICE_S,
    ) -> None:
        self._client = client
        self._reading_client = reading_client
        self.keys = keys
        self.owner = owner
        self.secondary_writes = SecondaryWriteHealth(metrics)
        batches = CommandBatches(client)
        self.search_index = index = SearchIndex(client, keys, ttl_s=ttl_s, reading_client=reading_client)
        calls = CallList(client, keys, ttl_s=ttl_s)
        events = StoredEvents(reading_client, keys, slice_s=slice_s)
        self.index_repair = IndexRepair(client, keys, index, calls, self.secondary_writes, events)
        self.index_writer = IndexWriter(client, keys, index, self.index_repair)
        self.event_log = RedisEventLog(
            client,
            keys,
            self.index_writer,
            calls,
            self.index_repair,
            self.secondary_writes,
            batches,
            ttl_s=ttl_s,
            lease_s=lease_s,
        )
        self.lease_audit = LeaseAudit(client, keys, self.event_log.leases, owner=owner)
        self.deletions = CallDeletion(client, keys, index, calls, events)
        self.history = RedisCallHistory(reading_client, keys, index, self.index_writer, calls, self.deletions, events)
        self.feed = RedisFeed(client, keys, secondary_writes=self.secondary_writes)
        self.tickets = RedisTickets(client, keys)
        self.status_callbacks = RedisStatusCallbacks(client, keys)
        self.database_guard = DatabaseGuard(client, keys)
        self._probe = client.register_script(scripts.PROBE)
        self._probe_key = keys.probe(owner)
        self._probing = asyncio.Lock()
        self._probed: tuple[float, str] | None = None

    @property
    def client(self) -> Client:
        """The redis-py client below, for checks and tests."""
        return self._client

    @property
    def reading(self) -> Client:
        """The one that histories are read with."""
        return self._reading_client

    async def ping(self) -> None:
        """Raises StoreError unless Redis answers in time. That PING is not allowed is an answer; see `check_acl`."""
        with redis_failures("Redis does not answer"), suppress(NoPermissionError):
            await self._client.ping()
            await self._reading_client.ping()

    async def write_failure(self) -> str:
        """Why Redis would not take a write now, in one word; empty when it took one. It may be a second old."""
        async with self._probing:
            now_s = time.monotonic()
            if self._probed is None or now_s - self._probed[0] >= PROBE_INTERVAL_S:
                self._probed = (now_s, await self._try_to_write())
            return self._probed[1]

    async def _try_to_write(self) -> str:
        try:
            with redis_failures("Redis does not take writes"):
                shard_channel = self._probe_key if self.keys.sharded else ""
                args: list[str | int] = [self.keys.probe_channel, PROBE_TTL_S, shard_channel]
                refused = await self._probe(keys=[self._probe_key], args=args)
        except StoreError as error:
            return error.reason
        self.secondary_writes.answered("channels", refused)
        return ""

    async def check_acl(self) -> None:
        """Try every right that is needed. Raises StoreError that says which are lacking, or that nothing is written."""
        if rules := await acl_check.missing_rules(self._client, self.keys):
            grant = f"ACL SETUSER {acl_check.user_name(self._client)} {' '.join(rules)}"
            raise StoreError(
                f"the Redis user may not do all that is needed; grant it: {grant}",
                reason="refused",
            )

    async def check_sharded(self) -> None:
        """Raises ConfigError if this Redis is too old for channels of shards; StoreError."""
        if not self.keys.sharded:
            return
        try:
            with redis_failures("cannot publish on a shard's channel"):
                await self._client.execute_command("SPUBLISH", self._probe_key, "")
        except StoreError as error:
            if error.reason == "error":  # it does not know the command
                raise ConfigError("TRANSCRIBER_PUBSUB=sharded needs Redis 7.0 or newer: set global") from error
            if error.reason != "refused":  # see `check_acl`
                raise

    async def check_database(self) -> None:
        """Raises ConfigError when another database of this Redis has servers with our prefix; StoreError."""
        if others := await self.database_guard.other_databases():
            raise ConfigError(
                f"another transcriber with the prefix {self.keys.prefix} is on database {others[0]} of this Redis, and "
                "channels are not separated by databases: set another TRANSCRIBER_REDIS_PREFIX"
            )

    async def aclose(self) -> None:
        """End all followings, write what waits for the index, and close every connection."""
        await self.feed.aclose()
        await self.index_writer.aclose()
        with redis_failures("cannot close the connections"):
            try:
                await disconnect(self._reading_client)
            finally:
                await disconnect(self._client)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def open_store(
    url: str,
    *,
    prefix: str,
    ttl_s: int,
    owner: str = "nobody",
    metrics: Metrics | None = None,
    lease_s: float = LEASE_S,
    slice_s: float = SLICE_S,
    sharded: bool = False,
) -> RedisStore:
    """A store on the Redis at `url`, which has answered. `ttl_s`: how long calls are kept, 0 = for ever.

    `owner`: a name, one word, that no other server has, for whoever writes streams. `metrics`: where it counts.
    `lease_s`: how long a stream is held to be alive without a sign of its server. `slice_s`: how long reading a long
    history may hold the event loop at a time. `sharded`: what is published goes to the channels of shards.

    Raises ConfigError for a malformed URL, StoreError when Redis does not answer.
    """
    reading = connect(url, max_connections=READING_CONNECTIONS, wait_s=READING_DEADLINE_S)
    store = RedisStore(
        connect(url),
        reading,
        Keys(prefix, sharded),
        ttl_s=ttl_s,
        owner=owner,
        metrics=metrics or Metrics(),
        lease_s=lease_s,
        slice_s=slice_s,
    )
    try:
        await store.ping()
    except BaseException:
        await store.aclose()
        raise
    return store
