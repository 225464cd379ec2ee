"""The one place where what redis-py raises becomes a StoreError."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from transcriber.errors import StoreError

# First what a connection or a script may wrap in other words; of scripts, Redis 6 quotes only the sentences.
_REASONS = (
    (r"\bLOADING\b|\bMASTERDOWN\b", "loading"),
    (r"\bREADONLY\b", "readonly"),
    (r"\bNOREPLICAS\b", "replicas"),
    (r"\bOOM\b", "full"),
    (r"\bMISCONF\b", "disk"),
    (r"\bBUSY\b", "busy"),
    (r"\bNOPERM\b|\bNOAUTH\b|\bWRONGPASS\b|invalid username-password|[Nn]o permission|Authentication|"
     r"The user executing the script can't", "refused"),
    (r"\bCLUSTERDOWN\b|\bTRYAGAIN\b|\bMOVED\b|\bASK\b", "away"),
)  # fmt: skip


@contextmanager
def redis_failures(doing: str) -> Iterator[None]:
    """Translate every failure of Redis or its connection into StoreError: "<doing>: <what Redis said>"."""
    try:
        yield
    except (RedisError, RedisClusterException, OSError) as error:  # TimeoutError is an OSError
        said = " ".join(str(error).split()) or type(error).__name__
        raise StoreError(f"{doing}: {said[:300]}", reason=failure_reason(error)) from error


def failure_reason(error: Exception | str) -> str:
    """Why Redis failed, in one word; see `StoreError`. Also of what a script's pcall caught."""
    names = "" if isinstance(error, str) else " ".join(_codes(error))
    for pattern, word in _REASONS:
        if re.search(pattern, f"{names} {error}"):
            return word
    if isinstance(error, (RedisConnectionError, RedisTimeoutError, RedisClusterException, OSError)):
        return "away"
    return "error"


def _codes(error: Exception) -> Iterator[str]:
    """redis-py takes the code off some messages and expresses it by the class."""
    for kind in type(error).__mro__:
        if code := _OF_CLASS.get(kind.__name__):
            yield code


_OF_CLASS = {
    "ReadOnlyError": "READONLY",
    "OutOfMemoryError": "OOM",
    "BusyLoadingError": "LOADING",
    "NoPermissionError": "NOPERM",
    "AuthenticationError": "NOAUTH",
    "AuthenticationWrongNumberOfArgsError": "NOAUTH",
    "MasterDownError": "MASTERDOWN",
    "ClusterDownError": "CLUSTERDOWN",
    "TryAgainError": "TRYAGAIN",
}
