"""Asks a redis-server on a Unix socket whether it is ready, or to stop."""

from contextlib import suppress
from pathlib import Path
from typing import Literal

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError


async def state(socket: Path) -> Literal["ready", "loading"] | None:
    """None when no server listens."""
    try:
        async with _client(socket) as client:
            await client.ping()
    except (BusyLoadingError, RedisTimeoutError):
        return "loading"
    except (RedisError, OSError):
        return None
    return "ready"


async def ask_to_stop(socket: Path) -> None:
    """Have it save and stop, if it listens."""
    with suppress(RedisError, OSError):
        async with _client(socket) as client:
            await client.shutdown()


def _client(socket: Path) -> Redis:
    return Redis(
        unix_socket_path=str(socket), socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
    )
