"""Databases of a Redis share its channels: servers on two of them hear each other, unless their prefixes differ."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.own_redis import OwnRedis, own_redis
from tests.process import command, process, wait_until_ready
from tests.server.conftest import Serve, subscribed
from tests.server.troubled import spoken
from transcriber.errors import ConfigError
from transcriber.settings.definition import load_settings


@pytest.fixture
async def redis() -> AsyncIterator[OwnRedis]:
    """A redis-server of this test's own."""
    async with own_redis() as server:
        yield server


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("unix:///nowhere/redis.sock?db=1", True),
        ("redis://127.0.0.1:1/1", True),
        ("rediss://me:secret@127.0.0.1:1/0?db=3", True),
        ("redis+sentinel://127.0.0.1:1/mymaster/2", True),
        ("redis://127.0.0.1:1/1?db=0", False),
        ("redis+sentinel://127.0.0.1:1/mymaster", False),
        ("redis+cluster://127.0.0.1:1", False),
        ("unix:///nowhere/1", False),
    ],
)
def test_a_database_of_its_own_wants_a_prefix_of_its_own(url: str, refused: bool) -> None:
    environment = {"TRANSCRIBER_REDIS_URL": url}
    if refused:
        with pytest.raises(ConfigError, match="set TRANSCRIBER_REDIS_PREFIX") as caught:
            load_settings(environ=environment)
        assert "secret" not in str(caught.value)
    else:
        load_settings(environ=environment)
    for prefix in ("mine", "transcripts"):
        assert load_settings(environ=environment | {"TRANSCRIBER_REDIS_PREFIX": prefix}).settings.redis_prefix == prefix


async def test_a_server_on_another_database_without_a_prefix_does_not_start(redis: OwnRedis, tmp_path: Path) -> None:
    settings = {"TRANSCRIBER_REDIS_URL": f"{redis.url}?db=1", "TRANSCRIBER_DATA_DIR": str(tmp_path)}
    for name in ("serve", "check", "tail"):
        status, said = await command(name, **settings)
        assert status == 2
        assert "set TRANSCRIBER_REDIS_PREFIX" in said


async def test_with_a_prefix_of_its_own_a_server_hears_only_its_own_calls(serve: Serve, redis: OwnRedis) -> None:
    one = await serve(redis_url=redis.url, redis_prefix="transcripts")
    other = await serve(redis_url=f"{redis.url}?db=1", redis_prefix="other")
    async with subscribed(one, "*") as heard, subscribed(other, "*") as heard_by_other:
        call_sid = await spoken(one)
        async with asyncio.timeout(30):
            while '"call.ended"' not in (await heard.get())["json"]:
                pass
        assert heard_by_other.empty()
    assert call_sid


async def test_another_database_with_the_same_prefix_is_noticed(redis: OwnRedis, tmp_path: Path) -> None:
    def on(number: int) -> dict[str, str]:
        return {
            "TRANSCRIBER_REDIS_URL": f"{redis.url}?db={number}",
            "TRANSCRIBER_REDIS_PREFIX": "calls",
            "TRANSCRIBER_DATA_DIR": str(tmp_path / str(number)),
        }

    async with process(**on(3)) as child, process(**on(3)) as sister:
        await wait_until_ready(child)
        await wait_until_ready(sister)
        for name, expected in (("serve", 2), ("check", 1)):
            status, said = await command(name, *(("--port", "0") if name == "serve" else ()), **on(4))
            assert status == expected
            assert "on database 3" in said
            assert "set another TRANSCRIBER_REDIS_PREFIX" in said
        status, said = await command("check", **on(3))
        assert status == 0, said
    status, said = await command("check", **on(4))  # nobody is left
    assert status == 0, said
