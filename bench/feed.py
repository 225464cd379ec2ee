"""What a message published by any server costs a server whose readers read something else, or everything; and Redis.

The server is a process of its own with the scripted engine and no call. Another process publishes for 1,000 live calls,
nine partials to a final. `--base FOLDER`: a worktree of another version, in turns. The figure is the CPU of the server
(of its event loop's thread) for each message, less what it takes at rest. Then `bench.publish_cost`.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from redis import Redis

from bench import publish_cost
from bench.publish_cost import CALLS, message
from transcriber.events.schema import CallStarted, StreamStarted
from transcriber.store.leases import Lease
from transcriber.store.redis.private_server import socket_url
from transcriber.store.redis_store import open_store

READ = 100
"""So many calls are read where more than one is."""
GONE_S = 22
"""Until a server has noticed by a heartbeat that readers left, and has left their topics."""
PATHS: dict[str, Sequence[str]] = {
    "nobody reads, nobody has": (),
    "one call of 1,000 is read": ("/v1/calls/CA0/events",),
    f"{READ} calls of 1,000 are read": tuple(f"/v1/calls/CA{n}/events" for n in range(READ)),
    "everything is read, without partials": ("/v1/events?partials=0",),
    "everything is read": ("/v1/events",),
    "everything was read before": (),
}


def publish(socket: str, per_s: int, seconds: float) -> None:
    """The publishing process: small batches, evenly in time."""
    client = Redis(unix_socket_path=socket)
    began, sent = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        pipeline = client.pipeline(transaction=False)
        for number in range(sent, int((time.monotonic() - began) * per_s)):
            kind = "final" if number % 10 == 0 else "partial"
            pipeline.publish(f"transcripts:CA{number // 10 % CALLS}:{kind}", message(kind))
            sent += 1
        pipeline.execute()
        time.sleep(0.002)
    print(sent, flush=True)


@asynccontextmanager
async def server(tree: Path) -> AsyncIterator[tuple[int, str, str]]:
    """A server of that version: its process id, its address, the socket of its Redis."""
    with tempfile.TemporaryDirectory(prefix="feed-") as folder:
        arguments = ("--data-dir", folder, "--port", "0", "--max-tracks", "10")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.scripted_server", *arguments),
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr
        try:
            while not (line := (await process.stderr.readline()).decode()).startswith("ready on "):
                if not line:
                    raise SystemExit("the server did not start")
            url = line.removeprefix("ready on ").rstrip(";\n")
            redis = socket_url(Path(folder) / "redis")
            await begin_calls(redis)
            yield process.pid, url, redis.removeprefix("unix://").partition("?")[0]
        finally:
            process.terminate()
            await process.wait()


async def begin_calls(redis: str) -> None:
    """Those that are read: of an unknown call there are no events."""
    async with await open_store(redis, prefix="transcripts", ttl_s=0, owner="bench", lease_s=3600) as store:
        for n in range(READ):
            sids = {"call_sid": f"CA{n}", "at": "2026-12-01T00:00:00.000Z"}
            stream = StreamStarted(
                **sids, stream_sid=f"MZ{n}", tracks=("inbound",), speakers={"inbound": "caller"}, start_ms=0,
                language="en", model="en-demo", parameters={},
            )  # fmt: skip
            call = CallStarted(**sids, account_sid="AC", resumed=False)
            await store.event_log.open(Lease("bench", f"CA{n}", f"MZ{n}"), call, stream, at_ms=time.time_ns() // 10**6)


async def drain(answer: aiohttp.ClientResponse) -> None:
    """Read as fast as it comes."""
    with contextlib.suppress(aiohttp.ClientError):
        while await answer.content.readany():
            pass


async def cost_us(tree: Path, per_s: int, seconds: float) -> dict[str, float]:
    """CPU of each message, by who reads."""
    found = {}
    async with server(tree) as (pid, url, socket), AsyncExitStack() as stack:
        timeout = aiohttp.ClientTimeout(total=None)
        connector = aiohttp.TCPConnector(limit=0)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout, connector=connector))
        await asyncio.sleep(3)
        for what, paths in PATHS.items():
            async with AsyncExitStack() as readers:
                for path in paths:
                    answer = await readers.enter_async_context(session.get(url + path))
                    reading = asyncio.create_task(drain(answer))
                    readers.callback(reading.cancel)
                await asyncio.sleep(1)
                at_rest, _ = await cpu_s(pid, socket, 1, seconds)
                busy, sent = await cpu_s(pid, socket, per_s, seconds)
                found[what] = (busy - at_rest) / sent * 1e6
            await asyncio.sleep(GONE_S if paths else 0)
    return found


async def cpu_s(pid: int, socket: str, per_s: int, seconds: float) -> tuple[float, int]:
    """CPU seconds of the server's event loop while so much is published; how many messages that were."""
    arguments = (
        sys.executable,
        "-m",
        "bench.feed",
        "--publish",
        socket,
        "--rate",
        str(per_s),
        "--seconds",
        str(seconds),
    )
    before = main_thread_s(pid)
    child = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE)
    sent, _ = await child.communicate()
    return main_thread_s(pid) - before, int(sent)


def main_thread_s(pid: int) -> float:
    """CPU seconds of the main thread, by nanoseconds: other counts are ticks of 10 ms."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9


async def measure(trees: Sequence[Path], args: argparse.Namespace) -> None:
    """The table of the server, then that of Redis."""
    rounds = [[await cost_us(tree, args.rate, args.seconds) for tree in trees] for _ in range(args.rounds)]
    print(f"CPU of a server for each of {args.rate} messages/s, µs, median of {args.rounds} rounds: {args.base or ''}")
    for what in PATHS:
        figures = [statistics.median(each[at][what] for each in rounds) for at in range(len(trees))]
        print(f"  {what:40}" + "".join(f"{figure:8.1f}" for figure in figures), flush=True)
    await publish_cost.main()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, help="a worktree of the version to compare with: the first column")
    parser.add_argument("--rate", type=int, default=2000, help="messages a second")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--publish", metavar="SOCKET", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.publish:
        publish(args.publish, args.rate, args.seconds)
    else:
        trees = [*([args.base.absolute()] if args.base else []), Path(__file__).parents[1]]
        asyncio.run(measure(trees, args))


if __name__ == "__main__":
    main()
