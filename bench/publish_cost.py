"""CPU of Redis for each message, by how many servers listen and to what; in a cluster, of PUBLISH and of SPUBLISH.

Over 64 connections, one command at a time on each. Listeners are bare connections that read and drop; part of
`bench.feed`.
"""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from transcriber.store.redis import binary, probe

CALLS = 1_000
CONNECTIONS, ROUNDS = 64, 200
LISTENERS = (0, 10, 50, 100)
SLOTS = 16_384


def message(kind: str) -> str:
    """A JSON of about 420 bytes."""
    return json.dumps({"v": 1, "type": kind, "stream_sid": "MZ" + "0" * 32, "track": "inbound", "text": "word " * 64})


class Dropping(asyncio.Protocol):
    """A listener."""

    def __init__(self, *words: str) -> None:
        self._words = words

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Subscribe."""
        command = f"*{len(self._words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in self._words)
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(command.encode())


@asynccontextmanager
async def redis_servers(count: int, *options: str) -> AsyncIterator[list[Redis]]:
    """Clients of so many, each with a Unix socket; of a cluster with ports, too."""
    async with AsyncExitStack() as stack:
        clients = []
        for n in range(count):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="redis-"))
            socket = Path(folder) / "redis.sock"
            port = str(17_170 + n) if options else "0"
            own = ("--port", port, "--dir", folder, "--unixsocket", str(socket), "--save", "", "--bind", "127.0.0.1")
            program = (str(binary.find()), *own, *options, "--logfile", f"{folder}/log")
            process = await asyncio.create_subprocess_exec(*program)
            stack.push_async_callback(process.wait)
            stack.callback(process.kill)
            while await probe.state(socket) != "ready":  # noqa: ASYNC110 - another process, nothing tells
                await asyncio.sleep(0.01)
            clients.append(await stack.enter_async_context(Redis(unix_socket_path=str(socket))))
        yield clients


async def say(client: Redis, *words: str | int) -> Any:
    """One command."""
    return await client.execute_command(*words)  # type: ignore[no-untyped-call]


async def cpu_us(clients: Sequence[Redis], command: str, channel: str) -> list[float]:
    """CPU of each server for a message, published at the first one: to all calls in turn, or only to CA0."""
    text = message("partial")

    async def used() -> list[float]:
        return [
            sum(map(float, (i["used_cpu_user"], i["used_cpu_sys"]))) for i in [await c.info("cpu") for c in clients]
        ]

    before = await used()
    for first in range(0, ROUNDS * CONNECTIONS, CONNECTIONS):
        numbers = range(first, first + CONNECTIONS)
        await asyncio.gather(*(say(clients[0], command, channel.format(n % CALLS), text) for n in numbers))
    return [(b - a) / ROUNDS / CONNECTIONS * 1e6 for a, b in zip(before, await used(), strict=True)]


async def listeners() -> None:
    """One Redis, more and more servers that listen."""
    kinds = ("partial", "final", "event")
    ways = {
        "to the three patterns of all calls": lambda n: ("PSUBSCRIBE", *(f"transcripts:*:{kind}" for kind in kinds)),
        "to the three channels of a call": lambda n: ("SUBSCRIBE", *(f"transcripts:CA{n}:{kind}" for kind in kinds)),
    }
    print(f"CPU of Redis for each message, µs, with {', '.join(map(str, LISTENERS))} servers that listen")
    for what, words in ways.items():
        figures = []
        for count in LISTENERS:
            async with redis_servers(1) as [client]:
                path = client.connection_pool.connection_kwargs["path"]
                loop = asyncio.get_running_loop()
                for listener in (Dropping(*words(n)) for n in range(count)):
                    await loop.create_unix_connection(lambda listener=listener: listener, path)  # type: ignore[misc]
                await asyncio.sleep(0.2)
                figures += await cpu_us([client], "PUBLISH", "transcripts:CA{}:partial")
        print(f"  {what:40}" + "".join(f"{figure:8.1f}" for figure in figures), flush=True)


async def cluster() -> None:
    """Three nodes, one of which is asked."""
    async with redis_servers(3, "--cluster-enabled", "yes") as nodes:
        for n, node in enumerate(nodes):
            await say(node, "CLUSTER", "ADDSLOTS", *range(SLOTS * n // 3, SLOTS * (n + 1) // 3))
            await say(node, "CLUSTER", "MEET", "127.0.0.1", 17_170)
        for node in nodes:
            while b"cluster_state:ok" not in await say(node, "CLUSTER", "INFO"):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.1)
        slot = await say(nodes[0], "CLUSTER", "KEYSLOT", "CA0")
        nodes.insert(0, nodes.pop(slot * 3 // SLOTS))
        print("CPU of the nodes of a cluster for each message, µs: the one that is asked, the others")
        for command, channel in (("PUBLISH", "transcripts:CA{}:partial"), ("SPUBLISH", "transcripts:{{CA0}}:{}")):
            figures = await cpu_us(nodes, command, channel)
            print(f"  {command:40}" + "".join(f"{figure:8.1f}" for figure in figures), flush=True)


async def main() -> None:
    """Print the tables."""
    await listeners()
    if await binary.major_version(binary.find()) >= 7:
        await cluster()
    else:
        print("no redis-server 7 is here: SPUBLISH is not measured")
