"""The reference lists every key: what a whole run leaves in Redis is compared with its table."""

import re
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from tests.sample_events import until
from tests.server.conftest import Serve
from tests.webhooks.conftest import Receiving, command, receiving

__all__ = ["receiving"]
PAGE = (Path(__file__).parents[2] / "docs/pages/reference/redis.md").read_text()
KEYS = PAGE.partition("\n## Keys\n")[2]
PARTS = {
    "call_sid": r"[A-Za-z0-9]+",
    "name": r"\w+",
    "sha256": r"[0-9a-f]{64}",
    "day": r"\d{8}",
    "words": r"\S+( \S+)?",
    "owner": r"\S+",
}
KINDS = {"stream": "stream", "hash": "hash", "hashes": "hash", "sorted set": "zset", "sorted sets": "zset"}
KINDS |= {"string": "string", "set": "set"}
ONLY_IN_TROUBLE = {"transcripts:unindexed"}
ONCE_A_MINUTE = {"transcripts:leases:audit"}


def documented() -> Mapping[str, str]:
    """The names of the table's keys, each with the type it has in Redis."""
    rows = re.findall(r"^\| (`transcripts:[^|]+) \| ([^|]+) \|", KEYS, re.MULTILINE)
    return {name: KINDS[kind] for names, kind in rows for name in re.findall(r"`([^`]+)`", names)}


def pattern(name: str) -> str:
    return re.sub(r"<(\w+)>", lambda part: PARTS[part[1]], re.escape(name))


async def test_every_key_of_a_whole_run_stands_in_the_table(serve: Serve, redis_url: str, receiving: Receiving) -> None:
    receiving.rule = lambda event, tries: 400 if event["type"] == "final" else 200
    running = await serve()
    prefix, client = running.server.settings.redis_prefix, running.server.store.client
    seen: dict[str, str] = {}

    async def look() -> None:
        async for key in client.scan_iter(match=f"*{prefix}*", count=1000):
            seen[str(key).replace(prefix, "transcripts")] = await client.type(key)

    async with command(receiving.url, "--all", url=redis_url, prefix=prefix):
        async with running.phone.call("08_short_wrong_department") as call:
            await running.known(call.call_sid)
            async with aiohttp.ClientSession() as session:
                answer = await session.post(f"{running.server.url}/v1/twiml", data={"CallSid": "CA1"})
                assert answer.status == 200
                assert (await session.get(f"{running.server.url}/readyz")).status == 200
            await look()
            await call.play()
            assert await call.hang_up() == 1000
        await receiving.until(lambda: receiving.texts(call.call_sid)[-1:] == ["end"])

        async def buried() -> bool:
            return bool(await client.exists(f"{prefix}:webhook:default:dead"))

        await until(buried)
        await look()
        async with aiohttp.ClientSession() as session:
            assert (await session.delete(f"{running.server.url}/v1/calls/{call.call_sid}")).status == 204
        await look()
    names = documented()
    found = {key: [name for name in names if re.fullmatch(pattern(name), key)] for key in seen}
    assert [key for key, matching in found.items() if not matching] == []
    assert [key for key, matching in found.items() if seen[key] not in {names[name] for name in matching}] == []
    assert names.keys() - {name for matching in found.values() for name in matching} == ONLY_IN_TROUBLE | ONCE_A_MINUTE
