"""Starts and stops servers by what their metrics say: free tracks, up at once, down slowly, with a long drain."""

import asyncio
import math
import secrets
import signal
import sys
from asyncio.subprocess import Process
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.process import program, wait_until_ready
from tests.proxy.conftest import free_port

ROOM = 10
"""Tracks of a server."""
FREE = 0.25
"""The share of all tracks that shall be free."""
LEAST = 2
LOOK_S = 1.0
DOWN_S = 6.0
"""For so long fewer servers must have been enough before one is taken away."""
STOP_S = 60.0


@dataclass(slots=True)
class Slot:
    """An address that the proxy knows, and the server that runs there, if any does."""

    port: int = field(default_factory=free_port)
    child: Process | None = None
    ready: bool = False

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self.port}"


@dataclass(slots=True)
class Fleet:
    """The slots, and what the scaler did; `seen` are live tracks and servers that take calls, each time it looked."""

    environment: Mapping[str, str]
    stack: AsyncExitStack
    slots: list[Slot]
    started: int = 0
    stopped: int = 0
    """That many got SIGTERM and left with status 0."""
    stopped_with_calls: int = 0
    seen: list[tuple[int, int]] = field(default_factory=list)
    _wishes: deque[int] = field(default_factory=lambda: deque(maxlen=round(DOWN_S / LOOK_S)))
    _leaving: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, slot: Slot) -> None:
        """Run a server there; it takes calls when this returns."""
        self.started += 1
        argv = (sys.executable, "-m", "tests.fleet.scripted_server")
        environment = {**self.environment, "TRANSCRIBER_PORT": str(slot.port)}
        slot.child = await self.stack.enter_async_context(program(*argv, environment=environment))
        await wait_until_ready(slot.child)
        slot.ready = True

    async def scale(self, over: asyncio.Event) -> None:
        """Until it is over; then all are stopped."""
        async with aiohttp.ClientSession() as http:
            while not over.is_set():
                await self._look(http)
                await asyncio.sleep(LOOK_S)
            for slot in self.slots:
                if slot.ready:
                    self._stop(slot, live=0)
            await asyncio.gather(*self._leaving)

    async def _look(self, http: aiohttp.ClientSession) -> None:
        taking = [slot for slot in self.slots if slot.ready]
        metrics = {slot.port: await gauges(http, slot) for slot in taking}
        live = sum(int(found["tracks_live"]) for found in metrics.values() if not found["draining"])
        room = int(next(iter(metrics.values()))["tracks_capacity"])
        self.seen.append((live, len(taking)))
        wish = min(len(self.slots), max(LEAST, math.ceil(live / (1 - FREE) / room)))
        self._wishes.append(wish)
        if wish > len(taking):
            empty = [slot for slot in self.slots if slot.child is None]
            await asyncio.gather(*(self.start(slot) for slot in empty[: wish - len(taking)]))
        elif max(self._wishes) < len(taking) and len(self._wishes) == self._wishes.maxlen:
            self._wishes.clear()
            newest = taking[-1]
            self._stop(newest, live=int(metrics[newest.port]["tracks_live"]))

    def _stop(self, slot: Slot, *, live: int) -> None:
        assert slot.child is not None
        slot.child.send_signal(signal.SIGTERM)
        slot.ready = False
        self.stopped_with_calls += live > 0
        task = asyncio.create_task(self._leave(slot, slot.child))
        self._leaving.add(task)

    async def _leave(self, slot: Slot, child: Process) -> None:
        assert child.stdout is not None
        written = await asyncio.wait_for(child.stdout.read(), STOP_S)
        assert await child.wait() == 0, written.decode()
        self.stopped += 1
        slot.child = None


async def gauges(http: aiohttp.ClientSession, slot: Slot) -> dict[str, float]:
    """`tracks_live`, `tracks_capacity` and `draining` of a server."""
    async with http.get(f"http://{slot.address}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(values[f"transcriber_{name}"]) for name in ("tracks_live", "tracks_capacity", "draining")}


@asynccontextmanager
async def fleet(redis_url: str, folder: Path, *, servers: int) -> AsyncIterator[Fleet]:
    """As many slots as that, the first LEAST with servers."""
    settings = {
        "REDIS_URL": redis_url,
        "REDIS_PREFIX": f"test{secrets.token_hex(4)}",
        "DATA_DIR": str(folder / "data"),
        "WORKERS": "1",
        "MAX_TRACKS": str(ROOM),
        "DRAIN_S": str(round(STOP_S)),
        "SPEECH_GATE": "0",
        "INSECURE": "1",
    }
    async with AsyncExitStack() as stack:
        environment = {f"TRANSCRIBER_{name}": value for name, value in settings.items()}
        found = Fleet(environment, stack, [Slot() for _ in range(servers)])
        await asyncio.gather(*(found.start(slot) for slot in found.slots[:LEAST]))
        yield found
