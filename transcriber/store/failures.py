"""The one place where what redis-py raises becomes a StoreError."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisClusterException, RedisError

from transcriber.errors import StoreError


@contextmanager
def redis_failures(doing: str) -> Iterator[None]:
    """Translate every failure of Redis or its connection into StoreError: "<doing>: <what Redis said>"."""
    try:
        yield
    except (RedisError, RedisClusterException, OSError) as error:  # TimeoutError is an OSError
        said = " ".join(str(error).split()) or type(error).__name__
        raise StoreError(f"{doing}: {said[:300]}") from error
