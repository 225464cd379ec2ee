"""What the search index adds to writing finals: CPU of Redis and of the server per final, and how long a write takes.

So many streams write sentences at a steady rate, in rounds with words to index and without, in turns on one Redis.
"""

import argparse
import asyncio
import time
from dataclasses import dataclass

import numpy as np

from bench import recordings
from bench.own_redis import own_redis
from bench.search import Speaker
from tests.sample_events import final, stream_started
from transcriber.events.schema import CallStarted
from transcriber.store.leases import Lease
from transcriber.store.redis_store import RedisStore, open_store

AT = "2026-11-23T05:20:00.123Z"


@dataclass(frozen=True, slots=True)
class Round:
    """Per final: CPU of Redis and of this process (microseconds); milliseconds that writes took."""

    redis_us: float
    server_us: float
    took_ms: list[float]


async def redis_cpu_s(store: RedisStore) -> float:
    info = await store.client.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


async def write_round(
    store: RedisStore, speaker: Speaker, number: int, args: argparse.Namespace, *, index: bool
) -> Round:
    """New calls, each of which writes a final in every interval."""
    took: list[float] = []

    async def one(stream: int) -> None:
        call_sid = f"CA{number:04x}{stream:028x}"
        lease = Lease("bench", call_sid, "MZ1")
        call = CallStarted(call_sid=call_sid, account_sid="AC1", resumed=False, at=AT)
        await store.event_log.open(lease, call, stream_started(call_sid), at_ms=time.time_ns() // 1_000_000)
        await asyncio.sleep(args.interval_s * stream / args.streams)
        for write in range(1, args.finals + 1):
            text = " ".join(speaker.sentence()) if index else ""
            before = time.perf_counter()
            await store.event_log.append(lease, write, final(call_sid, text))
            took.append(1000 * (time.perf_counter() - before))
            await asyncio.sleep(args.interval_s)

    redis, server = await redis_cpu_s(store), time.process_time()
    await asyncio.gather(*map(one, range(args.streams)))
    await asyncio.sleep(1.5)  # what is written later belongs to it
    finals = args.streams * args.finals
    spent = time.process_time() - server
    return Round(1e6 * (await redis_cpu_s(store) - redis) / finals, 1e6 * spent / finals, took)


async def main(args: argparse.Namespace) -> None:
    words = (recordings.model("en-demo").path / "graph" / "words.txt").read_text().split()[::2]
    speaker = Speaker([word for word in words if word.isalpha()])
    async with own_redis() as redis, await open_store(redis.url, prefix="s", ttl_s=86_400) as store:
        for number in range(args.rounds):
            for index in (True, False):
                found = await write_round(store, speaker, 2 * number + index, args, index=index)
                p50, p95 = np.percentile(found.took_ms, (50, 95))
                cpu = f"Redis {found.redis_us:6.1f} us  server {found.server_us:6.1f} us"
                print(f"{'with' if index else 'without':8} {cpu}  a write p50 {p50:5.2f} ms  p95 {p95:5.2f} ms")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--streams", type=int, default=200)
    options.add_argument("--finals", type=int, default=20, help="of each stream")
    options.add_argument("--interval-s", type=float, default=0.5, help="between two finals of a stream")
    options.add_argument("--rounds", type=int, default=2)
    asyncio.run(main(options.parse_args()))
