"""Both servers restarted in turn, and the proxies told to read their files again, under live calls in real time."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.proxy.conftest import WITHIN_S, Front, OpenFront
from tests.proxy.pair import HEADERS, Pair, client, pair, phone
from tests.proxy.shipped import SHIPPED
from transcriber.audio import sample_calls
from transcriber.audio.chunk import SAMPLE_RATE_HZ
from transcriber.audio.wav import Recording, read_recording
from transcriber.errors import ServerUnreachable

CALL_S = 9
EVERY_S = 2.5
"""A new call at each proxy."""
NAMES = ("01_order_status", "08_short_wrong_department")
Texts = Mapping[str, list[str]]
pytestmark = [pytest.mark.proxy, pytest.mark.timeout(180)]


def recording(name: str) -> Recording:
    """The first seconds of a sample call."""
    whole = read_recording(sample_calls.path(name))
    return Recording({track: mulaw[: CALL_S * SAMPLE_RATE_HZ] for track, mulaw in whole.tracks.items()})


def event_of(line: bytes) -> list[Mapping[str, Any]]:
    """The event in a line of SSE, if it holds one."""
    return [json.loads(line[5:])] if line.startswith(b"data:") else []


def texts(events: list[Mapping[str, Any]]) -> Texts:
    """Finals of each track, in order."""
    finals = [event for event in events if event["type"] == "final"]
    return {side: [one["text"] for one in finals if one["track"] == side] for side in ("inbound", "outbound")}


@dataclass(slots=True)
class Callers:
    """Those at one proxy: what became of their calls, and what readers of live events saw."""

    front: Front
    expected: Mapping[str, Texts]
    over: asyncio.Event
    calls: int = 0
    problems: list[str] = field(default_factory=list)
    resumed: int = 0
    """Times that a reader's line ended before the call did, and it went on with `Last-Event-ID`."""

    async def run(self) -> None:
        """A call after another begins until `over` is set; returns when all have ended."""
        async with asyncio.TaskGroup() as group, client(self.front) as http:
            tasks = []
            for number in count():
                if self.over.is_set():
                    break
                tasks.append(group.create_task(self._call(http, NAMES[number % len(NAMES)])))
                await asyncio.sleep(EVERY_S)
            await asyncio.gather(*tasks)

    async def _call(self, http: aiohttp.ClientSession, name: str) -> None:
        self.calls += 1
        try:
            async with phone(self.front).call(recording(name), speed=1) as call:
                reading = asyncio.create_task(self._read(http, call.call_sid))
                await call.play()
                code = await call.hang_up(within_s=WITHIN_S)
            events = await asyncio.wait_for(reading, WITHIN_S)
        except (ServerUnreachable, TimeoutError, aiohttp.ClientError) as error:
            self.problems.append(f"{type(error).__name__}: {error}")
            return
        if code != 1000:
            self.problems.append(f"closed with {code}")
        if [event["seq"] for event in events] != list(range(1, len(events) + 1)):
            self.problems.append(f"events {[event['seq'] for event in events]}")
        if texts(events) != self.expected[name]:
            self.problems.append(f"{texts(events)} instead of {self.expected[name]}")

    async def _read(self, http: aiohttp.ClientSession, call_sid: str) -> list[Mapping[str, Any]]:
        """The call's events without partials, from live events alone, over as many connections as it takes."""
        events: list[Mapping[str, Any]] = []
        while not events or events[-1]["type"] != "call.ended":
            after = {"Last-Event-ID": str(events[-1]["seq"])} if events else {}
            url = f"/v1/calls/{call_sid}/events?partials=0"
            try:
                async with http.get(url, headers=HEADERS | after) as live:
                    async for line in live.content:
                        events += event_of(line)
                self.resumed += live.status == 200 and (not events or events[-1]["type"] != "call.ended")
            except aiohttp.ClientError:
                self.resumed += 1
            await asyncio.sleep(0.05)
        return events


async def undisturbed(servers: Pair, name: str) -> Texts:
    """What a call says when nothing is restarted, and no proxy is in between."""
    async with servers.phone(0).call(recording(name), speed=1) as call:
        await call.play()
        assert await call.hang_up() == 1000
    async with aiohttp.ClientSession(headers=HEADERS) as http:
        url = f"http://{servers.servers[0]}/v1/calls/{call.call_sid}/events?partials=0"
        async with http.get(url) as live:
            return texts([event async for line in live.content for event in event_of(line)])


async def test_no_call_is_refused_and_no_word_lost(redis_url: str, tmp_path: Path, front: OpenFront) -> None:
    async with pair(redis_url, tmp_path) as servers:
        found = await asyncio.gather(*(undisturbed(servers, name) for name in NAMES))
        expected = dict(zip(NAMES, found, strict=True))
        assert all(said for each in found for said in each.values())
        fronts = [await front(kind, servers.servers) for kind in SHIPPED]
        over = asyncio.Event()
        callers = [Callers(each, expected, over) for each in fronts]
        async with asyncio.TaskGroup() as group:
            for each in callers:
                group.create_task(each.run())
            await asyncio.sleep(3 * EVERY_S)
            for number in (0, 1):
                servers.stop(number)
                await servers.stopped(number)
                servers.children[number] = await servers.start(number)
                await asyncio.sleep(EVERY_S)  # until calls are there, too
            for proxy in fronts:
                proxy.reload()
            await asyncio.sleep(EVERY_S)
            over.set()
    for each in callers:
        line = (
            f"{each.front.kind}: {each.calls} calls, {len(each.problems)} not as they should be, {each.resumed} resumed"
        )
        print(line, file=sys.stderr)
    assert [(each.front.kind, each.problems) for each in callers] == [(kind, []) for kind in SHIPPED]
    assert min(each.calls for each in callers) >= 10
    assert sum(each.resumed for each in callers) > 0  # readers were cut, and missed nothing
