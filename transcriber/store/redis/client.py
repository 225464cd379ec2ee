"""From a Redis URL to a redis-py client with our deadlines. What is stored does not live here."""

import asyncio
import re
from typing import Any
from urllib.parse import ParseResult, parse_qsl, unquote, urlparse

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode, ClusterPipeline
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError

from transcriber.errors import ConfigError

Client = Redis | RedisCluster
DEADLINE_S = 2.0
CLUSTER_COMMANDS = 80
"""At once, to all nodes of a cluster together; redis-py makes 100 connections to each."""
"""Of one command. Kept by the socket, not by cancelling: a cancelled command leaves an answer on the connection."""
HEALTH_CHECK_S = 30
MAX_CONNECTIONS = 32
READING_CONNECTIONS = 12
"""Histories are read over connections of their own, so that no number of readers keeps a write waiting."""
READING_DEADLINE_S = 5.0
"""Of waiting for one of them."""
MAX_CLUSTER_REDIRECTS = 3
URL_FORMS = (
    "redis://host:port/db, rediss://…, unix:///path?db=0, "
    "redis+sentinel://host:port,host:port/service/db or redis+cluster://host:port,host:port"
)
_OPTIONS = re.compile(r"db|username|password|client_name|health_check_interval|max_connections|socket_\w+|ssl_\w+")
_SENTINEL_AND_CLUSTER_OPTIONS = re.compile(r"sentinel_(username|password)|ssl_(ca_certs|ca_path|certfile|keyfile)")


def connect(url: str, *, max_connections: int = MAX_CONNECTIONS, wait_s: float = DEADLINE_S) -> Client:
    """A client for that URL; nothing is dialled yet.

    Of one Redis it has up to `most` connections, and a command waits `wait_s` for one of them; Sentinel and Cluster
    clients have as many as are asked for. Raises ConfigError for a malformed URL, without quoting it: it may hold a
    password.
    """
    try:
        parts = urlparse(url)
        match parts.scheme:
            case "redis" | "rediss" | "unix":
                return _single(url, parts, max_connections, wait_s)
            case "redis+sentinel" | "rediss+sentinel":
                return _sentinel(parts)
            case "redis+cluster" | "rediss+cluster":
                return _cluster(parts)
    except (ValueError, TypeError, RedisError, RedisClusterException):
        pass  # their messages may quote parts of the URL
    raise ConfigError(f"TRANSCRIBER_REDIS_URL is malformed: it must look like {URL_FORMS}")


async def disconnect(client: Client) -> None:
    """Close every connection, also those to sentinels, which redis-py leaves open."""
    await client.aclose()
    pool = None if isinstance(client, RedisCluster) else client.connection_pool
    if isinstance(pool, SentinelConnectionPool):
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()


def _limits() -> dict[str, Any]:
    return {
        "socket_timeout": DEADLINE_S,
        "socket_connect_timeout": DEADLINE_S,
        "health_check_interval": HEALTH_CHECK_S,
        "decode_responses": True,
        "protocol": 2,
    }


def _once() -> Retry:
    """Who calls repeats: a retry here would outlast the caller's deadline."""
    return Retry(NoBackoff(), 0)


class _FairPool(BlockingConnectionPool):
    """A pool of connections: first come, first served, within the deadline.

    In redis-py's own pool a caller that has just given a connection back takes it again before those that wait: with
    more busy streams than connections, no lease would be renewed.
    """

    def __init__(self, *, max_connections: int, **more: Any) -> None:
        super().__init__(max_connections=max_connections, **more)
        self._free = asyncio.Semaphore(max_connections)
        self._in_use: set[AbstractConnection] = set()

    async def get_connection(self, *args: Any, **options: Any) -> AbstractConnection:
        """redis-py's."""
        try:
            async with asyncio.timeout(self.timeout):
                await self._free.acquire()
        except TimeoutError:
            raise RedisConnectionError("all connections are in use") from None
        try:
            connection: AbstractConnection = await super().get_connection(*args, **options)  # type: ignore[no-untyped-call]
        except BaseException:
            self._free.release()
            raise
        self._in_use.add(connection)
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """redis-py's; it also calls this for a connection that could not be made, which nobody got."""
        try:
            await super().release(connection)
        finally:
            if connection in self._in_use:
                self._in_use.remove(connection)
                self._free.release()


def _single(url: str, parts: ParseResult, most: int, wait_s: float) -> Redis:
    _options(parts, _OPTIONS)
    if parts.scheme == "unix":
        if not parts.path:
            raise ValueError("no path")
    else:
        _ = parts.port, _database(parts.path)  # redis-py passes over a malformed database number
    # A full pool makes the next command wait: MaxConnectionsError would fail it at once under a burst.
    limits = {"max_connections": most, "timeout": wait_s, "retry": _once(), **_limits()}
    pool = _FairPool.from_url(url, **limits)
    pool.connection_class(**pool.connection_kwargs)  # TypeError for an option it does not know; does not dial
    return Redis.from_pool(pool)


def _sentinel(parts: ParseResult) -> Redis:
    options = _options(parts, _SENTINEL_AND_CLUSTER_OPTIONS)
    service, _, database = parts.path.strip("/").partition("/")
    if not service:
        raise ValueError("no service")
    asked = {name.removeprefix("sentinel_"): options.pop(name) for name in list(options) if name.startswith("sentinel")}
    limits = {**_limits(), "retry": _once(), "ssl": parts.scheme.startswith("rediss")}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        _addresses(parts, default_port=26379),
        sentinel_kwargs={**limits, **asked},
        **limits,
        **_credentials(parts),
        **options,
        db=_database(database),
    )
    return sentinel.master_for(unquote(service), redis_class=Redis)  # type: ignore[no-any-return]


class _ClusterPipeline(ClusterPipeline):
    """redis-py's, for which a connection that was taken from it is a lost one; see `_Cluster`."""

    async def execute(self, *args: Any, **options: Any) -> list[Any]:
        """redis-py's."""
        try:
            answers: list[Any] = await super().execute(*args, **options)
        except AttributeError as error:
            raise _taken() from error
        return [_taken() if isinstance(answer, AttributeError) else answer for answer in answers]


class _Cluster(RedisCluster):
    """redis-py's, in which a burst of commands waits for a connection, first come, first served, within the deadline.

    redis-py's own fails at once when a node has no connection left. When it finds the nodes anew while others are
    connecting, it takes their connections from them, and they fail with AttributeError.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._places = asyncio.Semaphore(CLUSTER_COMMANDS)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """redis-py's."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self._places.acquire()
        except TimeoutError:
            raise RedisConnectionError("all connections are in use") from None
        try:
            return await super().execute_command(*args, **options)
        except AttributeError as error:
            raise _taken() from error
        finally:
            self._places.release()

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> ClusterPipeline:
        """redis-py's; commands of several keys, too, are sent by one."""
        return _ClusterPipeline(self, transaction)  # type: ignore[abstract]


def _taken() -> RedisConnectionError:
    return RedisConnectionError("the connection was closed while it was opened")


def _cluster(parts: ParseResult) -> RedisCluster:
    options = _options(parts, _SENTINEL_AND_CLUSTER_OPTIONS)
    if parts.path.strip("/") not in ("", "0"):
        raise ValueError("a cluster has only database 0")
    return _Cluster(
        startup_nodes=[ClusterNode(host, port) for host, port in _addresses(parts, default_port=6379)],
        # Redirections count as retries here, and every write of ours may be repeated.
        retry=Retry(NoBackoff(), MAX_CLUSTER_REDIRECTS),
        ssl=parts.scheme.startswith("rediss"),
        **_limits(),
        **_credentials(parts),
        **options,
    )


def _options(parts: ParseResult, known: re.Pattern[str]) -> dict[str, Any]:
    options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    for name in options:
        if not known.fullmatch(name):
            raise ValueError(name)
    if parts.fragment:
        raise ValueError("fragment")
    return options


def _database(path: str) -> int:
    number = path.strip("/")
    return int(number) if number else 0


def _addresses(parts: ParseResult, *, default_port: int) -> list[tuple[str, int]]:
    found = []
    for address in parts.netloc.rpartition("@")[2].split(","):
        one = urlparse(f"//{address}")
        if not one.hostname:
            raise ValueError("no host")
        found.append((one.hostname, one.port or default_port))
    return found


def _credentials(parts: ParseResult) -> dict[str, Any]:
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    pairs = {"username": unquote(user), "password": unquote(password)}
    return {name: value for name, value in pairs.items() if value}
