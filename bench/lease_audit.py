"""What looking for live streams without a lease costs: CPU of the server and of Redis, and the wait it makes.

`each` reads every live call's hash, one after the other, as each server did once a minute; `audit` is what one of all
servers does now; `refused` is what the others do. In turns, on one Redis.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from bench.own_redis import own_redis
from transcriber.store.lease_audit import LeaseAudit
from transcriber.store.redis_store import RedisStore, open_store

TRACKS = ("inbound", "outbound")


async def fill(store: RedisStore, calls: int) -> None:
    """Live calls of two tracks, each with its lease, with the fields that a running server writes."""
    client, keys = store.client, store.keys
    pipeline = client.pipeline(transaction=False)
    for number in range(calls):
        call_sid, stream_sid = f"CA{number:032x}", f"MZ{number:032x}"
        fields: dict[str, Any] = {"status": "live", "seq": 9, "live_streams": 1, "started_at_ms": 1_795_411_200_000}
        fields |= {"started_at": "2026-11-23T05:20:00.123Z", "account_sid": "AC" + "0" * 32, "finals": 7, "words": 60}
        fields |= {f"{name}:{stream_sid}": "host-1-abcdef" for name in ("live", "owner", "began", "written")}
        fields |= {f"{name}:{track}": 1 for name in ("speaker", "talk_ms", "talked_ms", "finals") for track in TRACKS}
        pipeline.hset(keys.call(call_sid), mapping=fields)
        pipeline.zadd(keys.live, {call_sid: number})
        pipeline.zadd(keys.leases, {f"host-1-abcdef {call_sid} {stream_sid}": 2e12})
        if number % 500 == 499:
            await pipeline.execute()
    await pipeline.execute()


async def read_each(store: RedisStore) -> None:
    """The way before: every live call's hash, then all leases."""
    for call_sid in await store.client.zrange(store.keys.live, 0, -1):
        await store.client.hgetall(store.keys.call(str(call_sid)))
    await store.client.zrange(store.keys.leases, 0, -1)


async def measured(store: RedisStore, do: Callable[[], Awaitable[object]]) -> tuple[float, float, float]:
    """Seconds: CPU here, CPU of Redis, elapsed."""
    redis_before = await redis_cpu_s(store)
    cpu, clock = time.process_time(), time.perf_counter()
    await do()
    spent = time.process_time() - cpu, time.perf_counter() - clock
    return spent[0], await redis_cpu_s(store) - redis_before, spent[1]


async def redis_cpu_s(store: RedisStore) -> float:
    info = await store.client.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


async def main(calls: int, rounds: int) -> None:
    async with own_redis() as redis, await open_store(redis.url, prefix="bench", ttl_s=3600) as store:
        await fill(store, calls)
        audit = store.lease_audit
        other = LeaseAudit(store.client, store.keys, store.event_log.leases, owner="other")

        async def refused() -> None:
            for _ in range(1000):
                assert await other.run_once(every_s=600) is None

        for _ in range(rounds):
            each = await measured(store, lambda: read_each(store))
            await store.client.delete(store.keys.lease_audit)
            now = await measured(store, lambda: audit.run_once(every_s=600))
            no = [second / 1000 for second in await measured(store, refused)]
            for name, row in (("each", each), ("audit", now), ("refused", no)):
                print(f"{name:8} server {row[0] * 1000:9.3f} ms  Redis {row[1] * 1000:9.3f} ms  took {row[2]:7.4f} s")
            old, new = 100 * (each[0] + each[1]), now[0] + now[1] + 99 * (no[0] + no[1])
            print(f"a hundred servers, CPU a minute: {old:.1f} s before, {new:.3f} s now")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--calls", type=int, default=5000, help="live calls of two tracks")
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    asyncio.run(main(chosen.calls, chosen.rounds))
