"""Redis URLs: which are understood, what a malformed one is told, and that no password is ever shown."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError

from transcriber.errors import ConfigError, StoreError
from transcriber.store.redis.client import DEADLINE_S, MAX_CONNECTIONS, connect, disconnect
from transcriber.store.redis_store import open_store


def options(url: str) -> dict[str, Any]:
    client = connect(url)
    assert isinstance(client, Redis)
    return client.connection_pool.connection_kwargs


def test_a_tcp_url() -> None:
    found = options("redis://me:p%40ss@example.net:6380/3")
    wanted = {"host": "example.net", "port": 6380, "db": 3, "username": "me", "password": "p@ss"}
    assert wanted.items() <= found.items()


def test_a_tls_url() -> None:
    connection = connect("rediss://example.net?ssl_ca_certs=/ca.pem").connection_pool.connection_class  # type: ignore[union-attr]
    assert connection.__name__ == "SSLConnection"


def test_a_socket_url() -> None:
    assert options("unix:///tmp/a%20b/redis.sock?db=2").items() >= {"path": "/tmp/a b/redis.sock", "db": 2}.items()


def test_commands_have_a_deadline_and_no_hidden_retries() -> None:
    found = options("redis://example.net")
    assert found["socket_timeout"] == found["socket_connect_timeout"] == DEADLINE_S
    assert found["retry"].get_retries() == 0
    assert options("redis://example.net?socket_timeout=0.5")["socket_timeout"] == 0.5


def test_a_sentinel_url() -> None:
    client = connect("redis+sentinel://me:secret@one:26380,two/mymaster/1?sentinel_password=other")
    assert isinstance(client, Redis)
    pool: Any = client.connection_pool
    sentinels = [each.connection_pool.connection_kwargs for each in pool.sentinel_manager.sentinels]
    assert [(each["host"], each["port"]) for each in sentinels] == [("one", 26380), ("two", 26379)]
    assert [each["password"] for each in sentinels] == ["other", "other"]
    assert (pool.service_name, pool.connection_kwargs["db"]) == ("mymaster", 1)
    assert (pool.connection_kwargs["username"], pool.connection_kwargs["password"]) == ("me", "secret")


def test_a_cluster_url() -> None:
    client = connect("redis+cluster://one:7000,two:7001")
    assert isinstance(client, RedisCluster)
    assert sorted(client.nodes_manager.startup_nodes) == ["one:7000", "two:7001"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "http://:secret@localhost",
        "redis://:se/cret@localhost",
        "redis://:secret@localhost:port",
        "redis://:secret@localhost:99999",
        "redis://:secret@localhost/first",
        "redis://:secret@localhost?socket_timeout=soon",
        "redis://:secret@localhost?colour=red",
        "redis://:secret@localhost?socket_colour=red",
        "redis://:secret@localhost#fragment",
        "redis://:secret@[::1/0",
        "unix://",
        "redis+sentinel://:secret@localhost",
        "redis+sentinel:///service",
        "redis+sentinel://:secret@localhost/service/first",
        "redis+cluster://:secret@localhost/3",
        "redis+cluster://:secret@",
        "redis+cluster://:secret@localhost?socket_timeout=1",
    ],
)
def test_a_malformed_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError, match="TRANSCRIBER_REDIS_URL is malformed: it must look like redis://") as refusal:
        connect(url)
    assert "secret" not in str(refusal.value)
    assert "cret@" not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:secret@127.0.0.1:1",
        "unix:///nowhere/redis.sock?password=secret",
        "redis+sentinel://:secret@127.0.0.1:1/mymaster",
        "redis+cluster://:secret@127.0.0.1:1",
    ],
)
async def test_nobody_there_is_a_store_error_without_the_password(url: str) -> None:
    with pytest.raises(StoreError) as failure:
        await open_store(url, prefix="transcripts", ttl_s=0)
    assert "secret" not in str(failure.value)


async def test_a_command_gets_its_turn_while_all_connections_are_busy(redis_url: str) -> None:
    """As a lease must, while many streams write what has waited."""
    client = connect(redis_url)
    under_way, stop = asyncio.Event(), asyncio.Event()

    async def busy() -> None:
        while not stop.is_set():
            with suppress(RedisError):  # those that wait in vain themselves
                await client.ping()
            under_way.set()

    busy_ones = [asyncio.create_task(busy()) for _ in range(3 * MAX_CONNECTIONS)]
    await under_way.wait()
    try:
        for _ in range(5):
            assert await client.ping()
    finally:
        stop.set()
        await asyncio.gather(*busy_ones)
        await disconnect(client)
