"""A Redis that answers and takes no writes: told by /readyz in one word, and not a word of the calls is lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bench.own_redis import OwnRedis, own_redis
from tests.process import command, process
from tests.process import wait_for_line as said_by
from tests.sample_events import until
from tests.server.conftest import Event, Serve
from tests.server.troubled import RECOMMENDED, over, owner_says, says, spoken, user

Trouble = Callable[[OwnRedis], Awaitable[object]]


@pytest.fixture
async def redis() -> AsyncIterator[OwnRedis]:
    """A redis-server of this test's own."""
    async with own_redis() as server:
        yield server


async def cannot_save(redis: OwnRedis) -> None:
    """A folder stands where the snapshot should be put."""
    folder = (await owner_says(redis, "CONFIG GET", "dir"))["dir"]
    await asyncio.to_thread(Path(folder, "dump.rdb").mkdir)
    await owner_says(redis, "CONFIG SET", "save", "3600 1")
    await owner_says(redis, "BGSAVE")

    async def failed() -> bool:
        return bool((await owner_says(redis, "INFO", "persistence"))["rdb_last_bgsave_status"] == "err")

    await until(failed)


TROUBLES: dict[str, tuple[Trouble, Trouble]] = {
    "readonly": (
        lambda redis: owner_says(redis, "REPLICAOF", "127.0.0.1", 1),
        lambda redis: owner_says(redis, "REPLICAOF", "NO", "ONE"),
    ),
    "full": (
        lambda redis: owner_says(redis, "CONFIG SET", "maxmemory", 1),
        lambda redis: owner_says(redis, "CONFIG SET", "maxmemory", 0),
    ),
    "replicas": (
        lambda redis: owner_says(redis, "CONFIG SET", "min-replicas-to-write", 1),
        lambda redis: owner_says(redis, "CONFIG SET", "min-replicas-to-write", 0),
    ),
    "disk": (cannot_save, lambda redis: owner_says(redis, "CONFIG SET", "stop-writes-on-bgsave-error", "no")),
    "refused": (
        lambda redis: user(redis, *RECOMMENDED, "-@write"),
        lambda redis: user(redis, *RECOMMENDED),
    ),
}


@pytest.mark.parametrize("reason", TROUBLES)
async def test_a_redis_that_takes_no_writes_is_told_and_loses_nothing(
    serve: Serve, redis: OwnRedis, tmp_path: Path, reason: str
) -> None:
    begin, end = TROUBLES[reason]
    settings = {"redis_url": await user(redis, *RECOMMENDED), "redis_prefix": "transcripts", "rate_per_address": 0}
    running = await serve(**settings)
    strict = await serve(**settings, require_ticket=True, data_dir=tmp_path / "strict")
    async with running.phone.call("08_short_wrong_department") as call:
        await running.known(call.call_sid)
        await begin(redis)
        await says(strict, 503, "not_ready", redis=reason)
        await says(running, 200, "degraded", redis=reason)
        await call.play()
        assert await call.hang_up() == 1000
    await says(running, 200, "degraded", redis=reason)
    await end(redis)
    await says(running, 200, "ready")
    await says(strict, 200, "ready")
    events = await over(running, call.call_sid)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["type"] for event in events][-1] == "call.ended"


@pytest.mark.parametrize(
    ("rules", "granting"),
    [
        (RECOMMENDED, ""),
        (("~transcripts:*", "+@all"), "ACL SETUSER calls &transcripts:*"),
        ((*RECOMMENDED, "-xadd", "-xgroup"), "ACL SETUSER calls +xadd +xgroup"),
        ((*RECOMMENDED, "-evalsha"), "ACL SETUSER calls +evalsha"),
        ((*RECOMMENDED, "-ping"), "ACL SETUSER calls +ping"),
        ((*RECOMMENDED, "-psubscribe"), "ACL SETUSER calls +psubscribe"),
        (("~transcripts:{*", "&transcripts:*", "+@all"), "ACL SETUSER calls ~transcripts:*"),
    ],
)
async def test_check_names_the_rights_that_are_lacking(
    redis: OwnRedis, tmp_path: Path, rules: tuple[str, ...], granting: str
) -> None:
    url = await user(redis, *rules)
    status, said = await command("check", TRANSCRIBER_REDIS_URL=url, TRANSCRIBER_DATA_DIR=str(tmp_path))
    assert status == (1 if granting else 0)
    assert ("WRONG  redis: " in said) is bool(granting)
    assert granting in said
    assert await owner_says(redis, "DBSIZE") == 0


async def test_check_tells_of_a_redis_that_takes_no_writes(redis: OwnRedis, tmp_path: Path) -> None:
    await TROUBLES["readonly"][0](redis)
    status, said = await command("check", TRANSCRIBER_REDIS_URL=redis.url, TRANSCRIBER_DATA_DIR=str(tmp_path))
    assert status == 1
    assert "WRONG  redis: Redis does not do all that is needed: You can't write against a read only replica" in said


async def test_the_start_says_which_rights_are_lacking(redis: OwnRedis, tmp_path: Path) -> None:
    url = await user(redis, "~transcripts:*", "+@all", "-@dangerous", "-xack")
    async with process(TRANSCRIBER_REDIS_URL=url, TRANSCRIBER_DATA_DIR=str(tmp_path)) as child:
        line = await said_by(child, b"WARNING")
    assert b"ACL SETUSER calls +xack &transcripts:*" in line


@pytest.mark.parametrize(
    ("right", "problems"),
    [
        ("hset", {"redis": "refused"}),
        ("hincrby", {"redis": "refused"}),
        ("hdel", {"redis": "refused"}),
        ("expire", {"expiry": "refused", "search": "refused"}),
    ],
)
async def test_a_step_that_broke_off_in_the_middle_is_ended_when_it_may_be(
    serve: Serve, redis: OwnRedis, right: str, problems: dict[str, str]
) -> None:
    url = await user(redis, *RECOMMENDED)
    running = await serve(redis_url=url, redis_prefix="transcripts", rate_per_address=0)
    async with running.phone.call("08_short_wrong_department") as call:
        await running.known(call.call_sid)
        await user(redis, *RECOMMENDED, f"-{right}")
        await call.play()
        assert await call.hang_up() == 1000
        await says(running, 200, "degraded", **problems)
        await user(redis, *RECOMMENDED)
        events = await over(running, call.call_sid)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["type"] for event in events].count("call.ended") == 1
    assert finals(events) == finals(await over(running, await spoken(running)))


def finals(events: list[Event]) -> list[tuple[str, int, str]]:
    """What was said, by track: which track's comes first in the call is a matter of load."""
    said = [event for event in events if event["type"] == "final"]
    return sorted((event["track"], event["utterance"], event["text"]) for event in said)
