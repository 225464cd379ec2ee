"""The files for Redis, read by a real one: who may do what, what is kept, who is cut off, who takes over."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, OutOfMemoryError, RedisError

from tests.deploy.redis_files import (
    FILES,
    PASSWORDS,
    ConfiguredRedis,
    access_list,
    configured_redis,
)
from tests.process import ROOT, command, program
from tests.sample_events import append, closed, ended_call, final, opened, until
from tests.server.conftest import Serve, serve
from tests.server.troubled import spoken
from tests.store.test_topologies import free_port
from transcriber.errors import StoreError
from transcriber.store.redis import binary
from transcriber.store.redis_store import open_store

__all__ = ["serve"]

pytestmark = [pytest.mark.deploy, pytest.mark.redis7]  # with the Redis that is there, and with a newer one
WITHIN_S = 30.0
PREFIX = "transcripts"


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[ConfiguredRedis]:
    async with configured_redis(tmp_path) as running:
        yield running


def test_the_user_that_redis_reads_its_file_as_may_do_everything_and_nobody_can_be_it() -> None:
    """Redis 7.0 runs the transactions of its file with the rights of `default`, and drops what these do not allow."""
    (line,) = [line for line in access_list().splitlines() if line.startswith("user default ")]
    assert line.split()[2:] == ["off", "resetpass", "~*", "&*", "+@all"]


async def said(client: Redis, *words: str | int) -> Any:
    return await client.execute_command(*words)  # type: ignore[no-untyped-call]


async def test_nobody_gets_in_until_a_password_is_set(tmp_path: Path) -> None:
    shipped = (FILES / "users.acl").read_text()
    async with configured_redis(tmp_path, acl=shipped) as redis:
        reader, writer = await asyncio.open_connection("127.0.0.1", redis.port)
        writer.write(b"PING\r\n")
        assert (await reader.readline()).startswith(b"-NOAUTH")
        for user in ("default", *PASSWORDS):
            for password in ("0" * 64, "PASSWORD", PASSWORDS.get(user, "x")):
                writer.write(f"AUTH {user} {password}\r\n".encode())
                assert (await reader.readline()).startswith(b"-WRONGPASS")
        writer.close()


async def test_a_server_takes_a_call_and_check_finds_nothing_wrong(redis: ConfiguredRedis, serve: Serve) -> None:
    url = redis.url("transcriber")
    running = await serve(redis_url=url, redis_prefix=PREFIX)
    call_sid = await spoken(running)
    assert [event["type"] for event in await running.ended(call_sid)][-1] == "call.ended"
    status, out = await command("check", TRANSCRIBER_REDIS_URL=url)
    assert status == 0, out
    assert "ok     redis: answers, takes what is written and publishes it (every right was tried)" in out


def test_the_servers_user_has_the_rights_that_the_reference_names() -> None:
    reference = (ROOT / "docs/pages/reference/redis.md").read_text()
    named = next(line for line in reference.splitlines() if line.startswith("ACL SETUSER transcriber on"))
    given = next(line for line in access_list().splitlines() if line.startswith("user transcriber on"))
    assert set(named.split()[5:]) <= set(given.split())
    assert {word for word in given.split() if word[0] in "~&+"} <= set(named.split())


async def test_a_subscriber_follows_a_call_and_can_do_nothing_else(redis: ConfiguredRedis) -> None:
    async with await open_store(redis.url("transcriber"), prefix=PREFIX, ttl_s=600) as store:
        await opened(store, "CA1")
        await append(store, 1, final("CA1"))
        await closed(store, "CA1", number=2)
        example = (sys.executable, str(ROOT / "deploy/examples/subscribe.py"), "CA1")
        async with program(*example, environment={"REDIS_URL": redis.url("captions")}) as child:
            out, _ = await asyncio.wait_for(child.communicate(), WITHIN_S)
        assert child.returncode == 0, out
        assert b"two words" in out
        async with redis.client("captions") as client:
            pubsub = client.pubsub()
            await pubsub.psubscribe(*(f"{PREFIX}:*:{kind}" for kind in ("partial", "final", "event")))
            await pubsub.subscribe(f"{PREFIX}:CA1:final")
            for words in FORBIDDEN:
                with pytest.raises(NoPermissionError):
                    await said(client, *words)
            for pattern in ("*", f"{PREFIX}:*", "other:*:final"):
                refused = client.pubsub()
                await refused.psubscribe(pattern)
                with pytest.raises(NoPermissionError):
                    await refused.get_message(timeout=WITHIN_S)
                await refused.aclose()  # type: ignore[no-untyped-call]
            await pubsub.aclose()  # type: ignore[no-untyped-call]
        assert await store.history.events("CA1")


EVENTS = f"{PREFIX}:{{CA1}}:events"
FORBIDDEN = [
    *(("XADD", EVENTS, "*", "event", "{}"), ("XTRIM", EVENTS, "MAXLEN", "0"), ("DEL", EVENTS)),
    *(("XGROUP", "CREATE", EVENTS, "mine", "0"), ("EXPIRE", EVENTS, "1"), ("SET", EVENTS, "1")),
    *(("PUBLISH", f"{PREFIX}:CA1:final", "{}"), ("EVAL", "return 1", "0"), ("SCAN", "0"), ("KEYS", "*")),
    *(("XRANGE", "other:{CA1}:events", "-", "+"), ("ZRANGE", f"{PREFIX}:calls", "0", "-1")),
    *(("XRANGE", f"{PREFIX}:calls", "-", "+"), ("HGETALL", f"{PREFIX}:{{CA1}}:call"), ("GET", f"{PREFIX}:x")),
    *(("FLUSHALL",), ("CONFIG", "GET", "*"), ("ACL", "LIST"), ("CLIENT", "LIST"), ("SHUTDOWN",), ("MONITOR",)),
]


async def test_a_monitor_sees_numbers_and_no_word(redis: ConfiguredRedis) -> None:
    async with redis.client("monitoring") as client:
        assert (await client.info())["maxmemory_policy"] == "noeviction"
        assert await client.dbsize() == 0
        for words in [*FORBIDDEN, ("XRANGE", EVENTS, "-", "+"), ("SUBSCRIBE", f"{PREFIX}:CA1:final")]:
            with pytest.raises(NoPermissionError):
                await said(client, *words)


async def test_what_was_confirmed_outlives_a_kill(tmp_path: Path) -> None:
    async with configured_redis(tmp_path) as redis:
        async with await open_store(redis.url("transcriber"), prefix=PREFIX, ttl_s=600) as store:
            await ended_call(store, "CA1")
            kept = await store.history.events("CA1")
        await on_disk(redis)
        await redis.kill()
    async with (
        configured_redis(tmp_path) as again,
        await open_store(again.url("transcriber"), prefix=PREFIX, ttl_s=600) as store,
    ):
        assert await store.history.events("CA1") == kept


async def on_disk(redis: ConfiguredRedis) -> None:
    async with redis.client("monitoring") as client:

        async def nothing_waits() -> bool:
            info = await client.info("persistence")
            return not (info["aof_buffer_length"] or info["aof_pending_bio_fsync"])

        await until(nothing_waits, within_s=WITHIN_S)


async def test_a_full_one_refuses_writes_and_forgets_no_call(tmp_path: Path) -> None:
    async with configured_redis(tmp_path, "--maxmemory", "3mb") as redis, redis.client("transcriber") as client:
        await client.set(f"{PREFIX}:kept", "1", ex=600)
        taken = 0
        with suppress(OutOfMemoryError):
            for _ in range(100):
                await client.set(f"{PREFIX}:{taken}", "x" * 100_000, ex=600)
                taken += 1
        assert 0 < taken < 100
        assert await client.dbsize() == taken + 1
        assert await client.get(f"{PREFIX}:kept") == "1"
        async with redis.client("monitoring") as monitor:
            assert (await monitor.info("stats"))["evicted_keys"] == 0


async def test_a_subscriber_that_reads_nothing_is_cut_off(redis: ConfiguredRedis) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", redis.port, limit=1 << 10)
    writer.write(f"AUTH captions {PASSWORDS['captions']}\r\nSUBSCRIBE {PREFIX}:CA1:final\r\n".encode())
    assert await reader.readline() == b"+OK\r\n"
    assert await reader.readline() == b"*3\r\n"
    async with redis.client("transcriber") as client:
        async with asyncio.timeout(WITHIN_S):
            while await client.publish(f"{PREFIX}:CA1:final", "x" * (1 << 20)):
                pass
        async with redis.client("monitoring") as monitor:
            assert (await monitor.info("memory"))["used_memory"] < 16 << 20
    writer.close()


async def test_a_replica_takes_over_and_the_calls_go_on(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("master", "replica", "sentinel")}
    for folder in folders.values():
        folder.mkdir()
    replicating = ("--masteruser", "replica", "--masterauth", PASSWORDS["replica"])
    async with configured_redis(folders["master"], *replicating) as master:
        of_master = ("--replicaof", "127.0.0.1", str(master.port))
        async with configured_redis(folders["replica"], *replicating, *of_master) as replica:
            port = free_port()
            await in_step(master, replica)
            async with program(*sentinel(folders["sentinel"], port, master.port)):
                await until(lambda: knows_a_replica(port), within_s=WITHIN_S)
                credentials = f"transcriber:{PASSWORDS['transcriber']}"
                url = f"redis+sentinel://{credentials}@127.0.0.1:{port}/transcriber/0"
                async with await open_store(url, prefix=PREFIX, ttl_s=600) as store:
                    await opened(store, "CA1")
                    await append(store, 1, final("CA1", "before"))
                    await in_step(master, replica)
                    await master.kill()

                    async def goes_on() -> bool:
                        try:
                            await append(store, 2, final("CA1", "after"))
                        except StoreError:
                            return False
                        return True

                    await until(goes_on, within_s=WITHIN_S)
                    events = [json.loads(text) for text in await store.history.events("CA1")]
                    assert [event["text"] for event in events if event["type"] == "final"] == ["before", "after"]


def sentinel(folder: Path, port: int, master_port: int) -> tuple[str, ...]:
    """The command of a Sentinel that decides alone, and soon."""
    file = folder / "sentinel.conf"
    text = (FILES / "sentinel.conf").read_text()
    changes = {
        "port 26379": f"port {port}",
        "127.0.0.1 6379 2": f"127.0.0.1 {master_port} 1",
        "PASSWORD\n": f"{PASSWORDS['sentinel']}\n",
        "down-after-milliseconds transcriber 5000": "down-after-milliseconds transcriber 500",
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    file.write_text(f"dir {folder}\n{text}")
    return str(binary.find()), str(file), "--sentinel"


async def in_step(master: ConfiguredRedis, replica: ConfiguredRedis) -> None:
    async with master.client("monitoring") as one, replica.client("monitoring") as other:

        async def same() -> bool:
            theirs = await other.info("replication")
            ours = await one.info("replication")
            return theirs.get("master_link_status") == "up" and (
                theirs["slave_repl_offset"] >= ours["master_repl_offset"]
            )

        await until(same, within_s=WITHIN_S)


async def knows_a_replica(port: int) -> bool:
    try:
        async with Redis(port=port, decode_responses=True) as client:
            return bool(await said(client, "SENTINEL", "REPLICAS", "transcriber"))
    except RedisError:
        return False
