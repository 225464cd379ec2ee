"""What a track costs Redis: CPU, memory, commands, while sample calls are played in real time to a server of its own.

Redis is the server's private one. Its CPU is that of its process, less what it takes while no call is live. What is
kept is counted once all calls are over; the search index's part is the memory of its keys. Then the cost of finals
alone, many streams at once, of nine words and of none, which the index has no entries for.
"""

import argparse
import asyncio
import itertools
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import psutil
from redis.asyncio import Redis

from bench import recordings
from bench.own_redis import own_redis
from bench.server import cpu_s, playing, served
from tests.sample_events import append, final, opened
from transcriber.audio import sample_calls
from transcriber.store.redis_store import RedisStore, open_store

AUDIO = "02_dental_appointment"
WARM_S = 4
IDLE_S = 3
SAMPLES = 50
FINALS, STREAMS = 8_000, 64


def main() -> None:
    """Entry point."""
    parser = recordings.parser(__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=[16, 30])
    parser.add_argument("--seconds", type=float, default=24)
    args = parser.parse_args()
    recordings.heading()
    for calls in args.calls:
        asyncio.run(measure(args, calls))
    asyncio.run(measure_finals())


async def measure(args: argparse.Namespace, calls: int) -> None:
    """One server, so many calls at once."""
    with served("transcriber", "serve", "--model", args.model) as (url, server):
        redis = next(child for child in server.children(recursive=True) if "redis" in child.name())
        folder = Path(server.cmdline()[server.cmdline().index("--data-dir") + 1])
        idle = await over(redis, IDLE_S)
        async with Redis(unix_socket_path=str(folder / "redis/redis.sock"), decode_responses=True) as client:
            empty = int((await client.info("memory"))["used_memory"])
            player = playing(url, sample_calls.path(AUDIO), calls=calls, seconds=args.seconds, spread_s=2)
            await asyncio.sleep(WARM_S)
            before = await counters(url)
            began = time.monotonic()
            core = await over(redis, args.seconds - WARM_S - 2) - idle
            wall_s = time.monotonic() - began
            after = await counters(url)
            await asyncio.to_thread(player.wait, 120)
            kept = int((await client.info("memory"))["used_memory"]) - empty
            index = await index_bytes(client)
        tracks = 2 * calls
        track_s = tracks * args.seconds
        finals, partials = ((after[name] - before[name]) / (tracks * wall_s) for name in ("finals", "partials"))
        print(
            f"{tracks} tracks: Redis {1e6 * core / tracks:.0f} us of CPU per track-second (idle: {1000 * idle:.1f} ms "
            f"a second); {kept / track_s:.0f} bytes kept per track-second, {index / track_s:.0f} of them the search "
            f"index; {finals:.3f} finals and {partials:.2f} partials a track-second",
            flush=True,
        )


async def measure_finals() -> None:
    """Redis's CPU for each; the words are those of the sample calls, in order."""
    said = " ".join(turn.text for name in sample_calls.names() for turn in reference(name)).split()
    words = itertools.cycle(said)
    async with own_redis() as redis, await open_store(redis.url, prefix="bench", ttl_s=3600) as store:
        for count in (9, 0):
            texts = [" ".join(itertools.islice(words, count)) for _ in range(FINALS)]
            calls = [f"CA{count}{n}" for n in range(STREAMS)]
            await asyncio.gather(*(opened(store, call) for call in calls))
            before = await used_cpu_s(store)

            async def write(n: int, texts: Sequence[str] = texts, calls: Sequence[str] = calls) -> None:
                for number, text in enumerate(texts[n::STREAMS], 1):
                    await append(store, number, final(calls[n], text))

            await asyncio.gather(*map(write, range(STREAMS)))
            each = (await used_cpu_s(store) - before) / FINALS
            print(f"a final of {count} words: {1e6 * each:.0f} us of Redis", flush=True)


def reference(name: str) -> Sequence[sample_calls.Turn]:
    """What is said in a sample call."""
    return sample_calls.reference(sample_calls.path(name)) or ()


async def used_cpu_s(store: RedisStore) -> float:
    """User and system seconds of Redis so far."""
    info = await store.client.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


async def over(process: psutil.Process, seconds: float) -> float:
    """Cores that it takes meanwhile."""
    before, began = cpu_s(process), time.monotonic()
    await asyncio.sleep(seconds)
    return (cpu_s(process) - before) / (time.monotonic() - began)


async def counters(url: str) -> dict[str, float]:
    """Finals and partials so far."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return {
        name: sum(float(line.split()[-1]) for line in lines if line.startswith(f"transcriber_{name}_total"))
        for name in ("finals", "partials")
    }


async def index_bytes(client: "Redis") -> int:
    """Memory of the search index's keys."""
    total = 0
    async for key in client.scan_iter("*:search}:*"):
        total += int(await client.memory_usage(key, samples=SAMPLES) or 0)
    return total


if __name__ == "__main__":
    main()
