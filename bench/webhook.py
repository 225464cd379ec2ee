"""The webhook sender emptying a history: events per second and CPU per event, beside the same posts by bare aiohttp;
and how long it takes to find out that nothing is left to send.

The receiver is a process of its own that answers 204 at once.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

from bench import recordings
from bench.search import Speaker, fill
from transcriber.settings.signing_secret import key_of
from transcriber.store.feed import RedisFeed
from transcriber.store.redis.private_server import PrivateRedis
from transcriber.store.redis_store import RedisStore, open_store
from transcriber.webhooks.client import WebhookClient
from transcriber.webhooks.dead_letters import DeadLetters
from transcriber.webhooks.deliverer import DeliveryContext
from transcriber.webhooks.dispatcher import WebhookDispatcher
from transcriber.webhooks.metrics import WebhookMetrics
from transcriber.webhooks.queue import WebhookQueue

SECRET = "whsec_" + "c2VjcmV0" * 5
CONCURRENCY = 32


class Answering(asyncio.Protocol):
    """Reads requests and says 204."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.waiting = b""

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        while (end := self.waiting.find(b"\r\n\r\n")) >= 0:
            length = re.search(rb"(?i)content-length: (\d+)", self.waiting[:end])
            size = end + 4 + int(length[1] if length else 0)
            if len(self.waiting) < size:
                return
            self.waiting = self.waiting[size:]
            self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


def receive(pipe: Any) -> None:
    """The receiver's process."""

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


async def send(store: RedisStore, url: str, wanted: int) -> tuple[float, float]:
    """Wall and CPU seconds of the sender until `wanted` events are delivered."""
    queue = WebhookQueue(store.client, store.keys, name="bench", consumer="bench", lease_s=30)
    metrics, feed = WebhookMetrics(), RedisFeed(store.client, store.keys)
    await queue.register(born_ms=0)
    async with WebhookClient(url, [key_of(SECRET)], timeout_s=15, concurrency=CONCURRENCY) as client:
        context = DeliveryContext(
            queue=queue,
            dead_letters=DeadLetters(store.client, store.keys, name="bench", ttl_s=0),
            client=client,
            metrics=metrics,
            stopping=asyncio.Event(),
            max_attempts=20,
            lease_s=30,
        )
        dispatcher = WebhookDispatcher(context, feed)
        wall, cpu = time.perf_counter(), time.process_time()
        task = asyncio.create_task(dispatcher.run())
        while metrics.count("delivered") < wanted:  # noqa: ASYNC110 - a counter has no event
            await asyncio.sleep(0.01)
        took = time.perf_counter() - wall, time.process_time() - cpu
        dispatcher.stop()
        await task
        await feed.aclose()
    before = time.perf_counter()
    left = [sid async for sid in queue.unsent()]
    print(f"finding that {len(left)} calls of all have something to send: {time.perf_counter() - before:.2f} s")
    return took


async def post_bare(url: str, bodies: Sequence[bytes]) -> tuple[float, float]:
    """Wall and CPU seconds of the same posts, unsigned, from memory."""
    rest = iter(bodies)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY)) as session:

        async def worker() -> None:
            for body in rest:
                async with session.post(url, data=body) as answer:
                    await answer.read()

        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
        return time.perf_counter() - wall, time.process_time() - cpu


async def run(args: argparse.Namespace, url: str) -> None:
    """Fill, send both ways, tell."""
    speaker = Speaker(recordings.model("en-demo").path.joinpath("graph/words.txt").read_text().split()[::2])
    with tempfile.TemporaryDirectory(prefix="webhook-") as directory:
        async with PrivateRedis(Path(directory)) as redis, await open_store(redis.url, prefix="s", ttl_s=0) as store:
            await fill(store, speaker, finals=args.finals, per_call=args.per_call)
            wanted = args.finals + args.finals // args.per_call
            bodies = [
                text.encode()
                for number in range(args.finals // args.per_call)
                for text in await store.history.events(f"CA{number:032x}")
                if json.loads(text)["type"] in ("final", "call.ended")
            ]
            for name, took in (("sender", await send(store, url, wanted)), ("bare", await post_bare(url, bodies))):
                wall, cpu = took
                print(f"{name:7} {wanted / wall:6.0f} events/s, {1000 * cpu / wanted:.2f} ms of CPU each")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--finals", type=int, default=20_000)
    parser.add_argument("--per-call", type=int, default=20)
    args = parser.parse_args()
    recordings.heading()
    ours, theirs = multiprocessing.Pipe()
    receiver = multiprocessing.Process(target=receive, args=(theirs,), daemon=True)
    receiver.start()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(args, f"http://127.0.0.1:{ours.recv()}/"))
    receiver.kill()


if __name__ == "__main__":
    main()
