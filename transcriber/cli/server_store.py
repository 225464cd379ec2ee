"""Opens the store of a server, for commands that talk to its Redis and not to the server."""

from transcriber.errors import StoreError
from transcriber.settings.definition import Settings
from transcriber.store.redis.private_server import socket_url
from transcriber.store.redis_store import RedisStore, open_store


async def open_servers_store(settings: Settings) -> RedisStore:
    """On the Redis of the settings, or the private one of the server on their data directory. Raises StoreError."""
    url = settings.redis_url or socket_url(settings.data_dir / "redis")
    try:
        return await open_store(
            url, prefix=settings.redis_prefix, ttl_s=settings.history_ttl_s, sharded=settings.pubsub == "sharded"
        )
    except StoreError:
        if settings.redis_url:
            raise
        raise StoreError(
            f"no server with a Redis of its own runs on {settings.data_dir}: start `transcriber serve`, "
            "or set TRANSCRIBER_REDIS_URL to the Redis of another"
        ) from None
