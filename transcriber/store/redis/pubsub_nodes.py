"""At which node of a cluster one subscribes to a shard's channels, and a PubSub of redis-py there.

redis-py's own PubSub for clusters subscribes again by itself after a failover: what was published meanwhile would be
missed without a word.
"""

from collections.abc import Callable

from redis.asyncio import ConnectionPool, RedisCluster
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from transcriber.store.redis.client import Client
from transcriber.store.redis.errors import redis_failures
from transcriber.store.redis.topics import Topic

ANY = ""
"""Any node: what is published by PUBLISH reaches all of them."""


async def node_of(client: Client, topic: Topic, *, ask: bool) -> str:
    """The name of the node that has the topic's slot, as far as is known; `ask`: the cluster. Raises StoreError."""
    if topic.kind != "shard" or not isinstance(client, RedisCluster):
        return ANY
    with redis_failures("cannot find the channel's node"):
        if ask:
            await client.exists(topic.name)  # redirected, if the slot has moved, and that is remembered
        node = client.get_node_from_key(topic.name)
    return str(node.name) if node is not None else ANY


def opener(client: Client, node_name: str) -> Callable[[], PubSub]:
    """Makes a PubSub at that node."""
    if node_name == ANY or not isinstance(client, RedisCluster):
        return client.pubsub

    def open_pubsub() -> PubSub:
        node = client.get_node(node_name=node_name)
        if node is None:
            return client.pubsub()
        options = {**node.connection_kwargs, "retry": Retry(NoBackoff(), 0)}
        pool: ConnectionPool = ConnectionPool(connection_class=node.connection_class, **options)
        return PubSub(pool)

    return open_pubsub
