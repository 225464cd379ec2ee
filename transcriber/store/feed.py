"""Following what is published: this server subscribes to what its readers read at the moment, and to nothing else.

Readers of a call share its channels, readers of everything share patterns. One connection serves them all.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial

from transcriber.errors import StoreError
from transcriber.events.schema import Channel
from transcriber.runtime.cancellation import cancel
from transcriber.store.followers import Follower
from transcriber.store.keys import CHANNELS, Keys
from transcriber.store.ports import PublishedEvent
from transcriber.store.redis.client import Client
from transcriber.store.redis.pubsub_nodes import node_of, opener
from transcriber.store.redis.topic_connection import LINGER_S, TopicConnection
from transcriber.store.redis.topics import Topic
from transcriber.store.secondary_write_health import SecondaryWriteHealth

log = logging.getLogger(__name__)
MAX_WAITING_MESSAGES = 1000
"""Messages one follower may be behind."""
CONFIRM_S = 5.0
BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0)
Ways = Sequence[Sequence[Topic]]
"""What to subscribe to; what comes later is for when that is refused."""
Subscribed = tuple[TopicConnection[Follower], Sequence[Topic], Follower]


class RedisFeed:
    """Implements `Feed`. `linger_s`: how long what nobody reads any more stays subscribed.

    What the user's rights refuse is asked for in another way: instead of a call's channels the patterns of all calls,
    instead of a pattern for each kind the one for all channels. With channels of shards, readers of a call subscribe at
    its node, and readers of everything get no partials: Redis has no patterns for those.
    """

    def __init__(
        self,
        client: Client,
        keys: Keys,
        *,
        max_waiting: int = MAX_WAITING_MESSAGES,
        confirm_s: float = CONFIRM_S,
        linger_s: float = LINGER_S,
        secondary_writes: SecondaryWriteHealth | None = None,
    ) -> None:
        self._client = client
        self._keys = keys
        self._secondary_writes = secondary_writes
        self._max_waiting = max_waiting
        self._confirm_s = confirm_s
        self._linger_s = linger_s
        self._connections: dict[str, TopicConnection[Follower]] = {}
        """By the names of nodes; all but the channels of a cluster's shards are at any node."""
        self._retrying: asyncio.Task[None] | None = None
        """Looks whether what was refused is granted by now."""

    @asynccontextmanager
    async def follow(
        self, call_sid: str | None = None, *, partials: bool = True
    ) -> AsyncIterator[AsyncIterator[PublishedEvent]]:
        """Live messages; see `Feed`. Raises StoreError on entering: Redis refuses, or does not confirm in 5 s.

        The iterator raises StoreError when the connection was lost or the reader fell too far behind: something may
        have been missed, so follow again and read the history.
        """
        kinds = [kind for kind in CHANNELS if partials or kind != "partial"]
        new = partial(Follower, call_sid, frozenset(kinds), self._max_waiting)
        connection, topics, follower = await self._subscribe(new, self._ways(call_sid, kinds))
        try:
            yield follower.messages()
        finally:
            connection.leave(topics, follower)

    async def aclose(self) -> None:
        """Unsubscribe; followers get StoreError."""
        if self._retrying is not None:
            await cancel(self._retrying)
        for connection in list(self._connections.values()):
            await connection.aclose(StoreError("the server is closing"))

    def _ways(self, call_sid: str | None, kinds: Sequence[Channel]) -> Ways:
        if call_sid is not None and self._keys.sharded:
            return [[Topic("shard", self._keys.shard_channel(call_sid, kind)) for kind in kinds]]
        patterns = [Topic("pattern", name) for name in self._keys.patterns(kinds)]
        ways: list[Sequence[Topic]] = [patterns, [Topic("pattern", self._keys.every_channel)]]
        if call_sid is not None:
            ways.insert(0, [Topic("channel", self._keys.channel(call_sid, kind)) for kind in kinds])
        return ways

    async def _subscribe(self, new: Callable[[], Follower], ways: Ways) -> Subscribed:
        """Return when Redis has confirmed one of the ways. Raises StoreError when it refuses all, and after a time."""
        failure = StoreError("Redis did not confirm the subscription", reason="away")
        try:
            async with asyncio.timeout(self._confirm_s):
                for failures in range(10**6):
                    try:
                        return await self._try(new(), ways, again=failures > 0)
                    except StoreError as error:
                        failure = error
                        if error.reason == "refused":
                            self._refused(error, ways)
                            break
                    await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
        except TimeoutError:
            pass
        raise StoreError(f"cannot follow: {failure}", reason=failure.reason)

    async def _try(self, follower: Follower, ways: Ways, *, again: bool) -> Subscribed:
        """Once, with a follower that nothing failed of yet."""
        for last, topics in enumerate(ways, 1 - len(ways)):
            connection = self._connection(await node_of(self._client, topics[0], ask=again))
            try:
                await connection.listen(topics, follower)
            except StoreError as error:
                if error.reason != "refused" or last == 0:
                    raise
            else:
                if self._secondary_writes is not None:
                    self._secondary_writes.succeeded("subscription")
                return connection, topics, follower
        raise AssertionError("there is always a way to try")

    def _connection(self, node: str) -> TopicConnection[Follower]:
        connection = self._connections.get(node)
        if connection is None or connection.over:
            for name in [name for name, other in self._connections.items() if other.over]:
                del self._connections[name]
            open_pubsub = opener(self._client, node)
            connection = TopicConnection(open_pubsub, self._deliver, linger_s=self._linger_s)
            self._connections[node] = connection
        return connection

    def _deliver(self, followers: Collection[Follower], channel: str, text: str) -> None:
        name = self._keys.parse_channel(channel)
        if name is not None:
            message = PublishedEvent(*name, text)
            for follower in followers:
                follower.offer(message)

    def _refused(self, failure: StoreError, ways: Ways) -> None:
        if self._secondary_writes is None:
            return
        self._secondary_writes.failed("subscription", failure)
        if self._retrying is None or self._retrying.done():
            self._retrying = asyncio.create_task(self._retry(ways), name="asking for refused subscriptions again")

    async def _retry(self, ways: Ways) -> None:
        """Until it is granted, so that the server's state says what is."""
        while True:
            await asyncio.sleep(BACKOFF_S[-1])
            try:
                connection, topics, nobody = await self._try(Follower(None, frozenset(), 0), ways, again=True)
            except StoreError as error:
                log.debug("still not subscribed: %s", error)
            else:
                connection.leave(topics, nobody)
                return
