"""The bytes of a deleted call leave the disk of the private redis-server."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.sample_events import (
    append,
    closed,
    final,
    opened,
    until,
)
from transcriber.errors import CallNotFound, StoreError
from transcriber.observability.metrics import Metrics
from transcriber.store.redis.aof_rewrite import MARK_FILE, AofRewrite
from transcriber.store.redis.private_server import PrivateRedis
from transcriber.store.redis_store import RedisStore, open_store

SECRET = "unrepeatable"


@pytest.fixture
async def directory() -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="redis-") as name:
        yield Path(name) / "redis"


@asynccontextmanager
async def private_store(directory: Path) -> AsyncIterator[RedisStore]:
    async with (
        PrivateRedis(directory) as server,
        await open_store(server.url, prefix="test", ttl_s=0) as store,
    ):
        yield store


async def told(store: RedisStore, call_sid: str, text: str) -> None:
    at_ms = int(time.time() * 1000) - 10_000
    await opened(store, call_sid, at_ms=at_ms)
    await append(store, 1, final(call_sid, text))
    await closed(store, call_sid, number=2)


def on_disk(directory: Path, text: str = SECRET) -> list[str]:
    """Files below the directory that hold the text."""
    return [path.name for path in directory.rglob("*") if path.is_file() and text.encode() in path.read_bytes().lower()]


def value(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(f"transcriber_{name}")


@asynccontextmanager
async def running(rewrite: AofRewrite) -> AsyncIterator[None]:
    task = asyncio.create_task(rewrite.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def test_a_deleted_calls_text_leaves_the_file_and_others_stay(directory: Path) -> None:
    metrics = Metrics()
    async with private_store(directory) as store:
        rewrite = AofRewrite(store.client, directory, metrics, quiet_s=0.5)
        store.deletions.around.append(rewrite.around_deletion)
        async with running(rewrite):
            for number in range(5):
                await told(store, f"CA{number}", f"{SECRET} {number}")
            await told(store, "CAkept", "goodbye")
            assert on_disk(directory) != []
            await asyncio.gather(*(store.history.delete(f"CA{number}") for number in range(5)))
            assert value(metrics, "erasures_pending") == 5
            await until(lambda: asyncio.sleep(0, value(metrics, "erasures_pending") == 0))
            assert on_disk(directory) == []
            await until(lambda: asyncio.sleep(0, not (directory / MARK_FILE).exists()))
            await told(store, "CAlater", "afterwards")
    async with private_store(directory) as store:
        assert len(await store.history.events("CAkept")) == 5
        assert len(await store.history.events("CAlater")) == 5
    assert value(metrics, "erasure_failures_total") == 0


async def test_a_deletion_that_was_cut_off_is_finished_by_the_next_start(directory: Path) -> None:
    async with private_store(directory) as store:
        store.deletions.around.append(AofRewrite(store.client, directory, Metrics(), quiet_s=0.05).around_deletion)
        await told(store, "CA1", SECRET)
        await store.history.delete("CA1")
    assert on_disk(directory) != []
    metrics = Metrics()
    async with private_store(directory) as store:
        rewrite = AofRewrite(store.client, directory, metrics, quiet_s=0.05)
        assert value(metrics, "erasures_pending") == 1
        async with running(rewrite):
            await until(lambda: asyncio.sleep(0, not (directory / MARK_FILE).exists()))
        assert on_disk(directory) == []


async def test_a_server_that_leaves_does_what_waits(directory: Path) -> None:
    async with private_store(directory) as store:
        rewrite = AofRewrite(store.client, directory, Metrics())
        store.deletions.around.append(rewrite.around_deletion)
        await told(store, "CA1", SECRET)
        await store.history.delete("CA1")
        await rewrite.finish()
        assert on_disk(directory) == []
        assert not (directory / MARK_FILE).exists()


async def test_a_file_that_cannot_be_rewritten_is_logged_and_tried_again(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    async with private_store(directory) as store:
        await store.client.execute_command(
            "ACL", "SETUSER", "limited", "on", "nopass", "~*", "&*", "+@all", "-bgrewriteaof"
        )
        socket = str(directory / "redis.sock")
        async with Redis(unix_socket_path=socket, username="limited", password="any") as limited:
            rewrite = AofRewrite(limited, directory, metrics, quiet_s=0.02, retry_s=0.02)
            store.deletions.around.append(rewrite.around_deletion)
            await told(store, "CA1", SECRET)
            await store.history.delete("CA1")
            async with running(rewrite):
                await until(lambda: asyncio.sleep(0, (value(metrics, "erasure_failures_total") or 0) > 1))
                assert (directory / MARK_FILE).exists()
                assert value(metrics, "erasures_pending") == 1
                assert "still in the private Redis's file" in caplog.text
                await store.client.execute_command("ACL", "SETUSER", "limited", "+bgrewriteaof")
                await until(lambda: asyncio.sleep(0, value(metrics, "erasures_pending") == 0))
        assert on_disk(directory) == []


async def test_a_deletion_of_nothing_rewrites_nothing(directory: Path) -> None:
    metrics = Metrics()
    async with private_store(directory) as store:
        store.deletions.around.append(AofRewrite(store.client, directory, metrics).around_deletion)
        with pytest.raises(CallNotFound):
            await store.history.delete("CA1")
        assert value(metrics, "erasures_pending") == 0
        assert not (directory / MARK_FILE).exists()


async def test_a_rewriting_that_began_before_a_deletion_ended_is_not_its_last(directory: Path) -> None:
    metrics = Metrics()
    async with private_store(directory) as store:
        rewrite = AofRewrite(store.client, directory, metrics)
        await told(store, "CA1", SECRET)
        async with rewrite.around_deletion():
            await rewrite.rewrite()
            assert (directory / MARK_FILE).exists()
        assert value(metrics, "erasures_pending") == 1
        await rewrite.rewrite()
        assert not (directory / MARK_FILE).exists()


async def test_a_deletion_that_cannot_be_noted_is_not_begun(directory: Path) -> None:
    async with private_store(directory) as store:
        store.deletions.around.append(AofRewrite(store.client, directory / "gone", Metrics()).around_deletion)
        await told(store, "CA1", SECRET)
        with pytest.raises(StoreError, match="note"):
            await store.history.delete("CA1")
        assert len(await store.history.events("CA1")) == 5


async def test_calls_that_expired_leave_the_file_within_a_day(directory: Path) -> None:
    async with private_store(directory) as store:
        await told(store, "CA1", SECRET)
        async with running(AofRewrite(store.client, directory, Metrics(), quiet_s=0.05, expiry_check_s=0.05)):
            for key in [key async for key in store.client.scan_iter(match="*")]:
                await store.client.pexpire(key, 1)
            await until(lambda: asyncio.sleep(0, on_disk(directory) == []))


async def test_what_a_rewriting_that_was_killed_left_goes_with_the_next_start(directory: Path) -> None:
    async with private_store(directory):
        pass
    left = [directory / "temp-rewriteaof-bg-12345.aof", directory / "temp-12345.rdb"]
    for path in left:
        path.write_text(SECRET)
    async with private_store(directory):
        assert not any(path.exists() for path in left)


async def test_the_private_server_keeps_no_slow_log(directory: Path) -> None:
    """Its entries would hold parts of what was said."""
    async with private_store(directory) as store:
        assert await store.client.config_get("slowlog-*") == {
            "slowlog-log-slower-than": "-1",
            "slowlog-max-len": "0",
        }
