"""What a chaos scenario plays on: real servers as children, a real Redis, callers as Twilio's, and a comparison."""

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.own_redis import OwnRedis
from transcriber.audio import sample_calls
from transcriber.audio.chunk import SAMPLE_RATE_HZ
from transcriber.audio.wav import Recording, read_recording
from transcriber.errors import CallNotFound, ServerUnreachable, StoreError
from transcriber.runtime import child_process
from transcriber.settings.sources import PREFIX
from transcriber.store.redis_store import RedisStore, open_store
from transcriber.telephony.simulator import CallIds, Target, dial

READY = re.compile(r"ready on (http://[^\s;,]+)")
READY_S = 60
PATIENCE_S = 120
LOOK_S = 0.05
UNSAVED_S = 1.0
"""Audio of the last moment before a server is killed may be on its way; the journal itself holds back 0.25 s."""
Event = Mapping[str, Any]
Final = tuple[str, int, str, int]
"""Track, utterance, text, end in milliseconds."""
Finals = list[Final]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is played. `speed`: of the callers, 1 = as on the telephone; `outage_s` in real seconds."""

    calls: int = 2
    outage_s: float = 3.0
    speed: float = 4.0

    def recording(self) -> Recording:
        """A sample call over and over, long enough to speak before, during and after the trouble."""
        whole = read_recording(sample_calls.path(sample_calls.DEFAULT))
        length = int((self.outage_s + 5) * self.speed) * SAMPLE_RATE_HZ
        times = -(-length // round(whole.duration_s * SAMPLE_RATE_HZ))
        return Recording({track: (mulaw * times)[:length] for track, mulaw in whole.tracks.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of the finals that were to be kept, over all calls; `delay_s` counts from the end of the trouble.

    `problems`: what else went otherwise than promised.
    """

    expected: int
    lost: int
    repeated: int
    out_of_order: int
    changed: int
    delay_s: float
    problems: Sequence[str] = ()

    def line(self) -> str:
        """For people."""
        return (
            f"{self.expected:4} finals: {self.lost} lost, {self.repeated} repeated, {self.out_of_order} out of order, "
            f"{self.changed} changed; delay {self.delay_s:.2f} s" + "".join(f"; {one}" for one in self.problems)
        )

    @property
    def flawless(self) -> bool:
        """Whether everything is there, once, in order, as without trouble."""
        return not (self.lost or self.repeated or self.out_of_order or self.changed or self.problems)


def finals(events: Sequence[Event]) -> list[Final]:
    """All of them, in the order of history."""
    return [
        (event["track"], event["utterance"], event["text"], event["end_ms"])
        for event in events
        if event["type"] == "final"
    ]


def compare(
    expected: Sequence[Sequence[Final]], got: Sequence[Sequence[Event]], delay_s: float, problems: Sequence[str] = ()
) -> Verdict:
    """Call by call: what should be there and what is."""
    lost = repeated = disorder = changed = 0
    for wanted, events in zip(expected, got, strict=True):
        there = finals(events)
        counts = Counter((track, number) for track, number, *_ in there)
        texts = {(track, number): text for track, number, text, _ in there}
        lost += sum((track, number) not in texts for track, number, *_ in wanted)
        repeated += sum(count - 1 for count in counts.values())
        changed += sum(texts.get((track, number), text) != text for track, number, text, _ in wanted)
        disorder += sum(event["seq"] != at for at, event in enumerate(events, 1))
        for side in ("inbound", "outbound"):
            order = [number for track, number, *_ in there if track == side]
            disorder += sum(later < earlier for earlier, later in pairwise(order))
    return Verdict(
        expected=sum(map(len, expected)),
        lost=lost,
        repeated=repeated,
        out_of_order=disorder,
        changed=changed,
        delay_s=round(delay_s, 2),
        problems=problems,
    )


@dataclass(slots=True)
class Stage:
    """One scenario's servers and calls. Without `redis` the servers run their own."""

    plan: Plan
    directory: Path
    redis: OwnRedis | None
    recording: Recording
    ids: list[CallIds] = field(default_factory=list)
    played_ms: dict[str, int] = field(default_factory=dict)
    """How far each call's caller has come, by CallSid."""
    leaving: dict[str, asyncio.Event] = field(default_factory=dict)
    """Setting a call's event makes its caller hang up, in order."""

    @asynccontextmanager
    async def server(
        self, data_dir: str = "data", *flags: str
    ) -> AsyncIterator[tuple[child_process.ChildProcess, str]]:
        """A server and its address. Raises ServerUnreachable."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        command = [sys.executable, "-m", "transcriber", "serve", "--port", "0", "--model", "en-demo"]
        command += ["--data-dir", str(self.directory / data_dir), "--max-tracks", "1000", "--drain-s", "0", *flags]
        if self.redis is not None:
            command += ["--redis-url", self.redis.url]
        async with child_process.running(command, environment=environment) as running:
            yield running, (await running.wait_for_line(READY, within_s=READY_S))[1]

    @asynccontextmanager
    async def store(self) -> AsyncIterator[RedisStore]:
        """The Redis of the servers."""
        url = f"unix://{self.directory}/data/redis/redis.sock" if self.redis is None else self.redis.url
        async with await open_store(url, prefix="transcripts", ttl_s=0) as store:
            yield store

    @asynccontextmanager
    async def playing(self, url: str) -> AsyncIterator["asyncio.Future[list[BaseException | None]]"]:
        """The plan's calls, being played; done when all are over, with what ended each."""
        self.ids = [CallIds() for _ in range(self.plan.calls)]
        target = Target(url=url)
        self.played_ms = dict.fromkeys((ids.call for ids in self.ids), 0)
        self.leaving = {ids.call: asyncio.Event() for ids in self.ids}
        calls = [self._dial(target, ids) for ids in self.ids]
        together = asyncio.gather(*calls, return_exceptions=True)
        try:
            yield together
        finally:
            together.cancel()
            await asyncio.wait((together,))

    async def _dial(self, target: Target, ids: CallIds) -> None:
        def at(position_ms: int) -> None:
            self.played_ms[ids.call] = position_ms

        await dial(
            target, self.recording, ids=ids, speed=self.plan.speed, on_position=at, hang_up=self.leaving[ids.call]
        )

    async def spoken(self, store: RedisStore) -> None:
        """Until each call has a final in history."""
        await until(lambda: self._each(store, lambda events: bool(finals(events))))

    async def ended(self, store: RedisStore) -> None:
        """Until each call has ended, whatever the reason."""
        await until(lambda: self._each(store, lambda events: events[-1]["type"] == "call.ended"))

    async def history(self, store: RedisStore) -> list[list[Event]]:
        """The events of each call."""
        return [[json.loads(text) for text in await store.history.events(ids.call)] for ids in self.ids]

    async def _each(self, store: RedisStore, holds: Callable[[list[Event]], bool]) -> bool:
        try:
            return all(holds(events) for events in await self.history(store))
        except (CallNotFound, StoreError):
            return False


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return as soon as it holds. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - it happens in other processes
            await asyncio.sleep(LOOK_S)


def kill(running: child_process.ChildProcess) -> float:
    """SIGKILL; returns the moment."""
    os.kill(running.pid, signal.SIGKILL)
    return time.monotonic()


async def reference(plan: Plan, directory: Path) -> list[Final]:
    """The finals of one of the plan's calls when nothing goes wrong."""
    alone = Stage(Plan(calls=1, outage_s=plan.outage_s, speed=plan.speed), directory, None, plan.recording())
    async with alone.server() as (_, url), alone.store() as store, alone.playing(url) as calls:
        problems = [problem for problem in await calls if problem is not None]
        if problems:
            raise ServerUnreachable(f"a call without trouble failed: {problems[0]}")
        await alone.ended(store)
        return finals((await alone.history(store))[0])
