"""A small real fleet: 2,000 short calls through HAProxy, while a scaler starts and stops servers on one Redis."""

import asyncio
import json
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from tests.fleet.scaler import LEAST, Fleet, fleet
from tests.phone import Phone
from tests.proxy.conftest import WITHIN_S, Front, OpenFront
from transcriber.audio import sample_calls
from transcriber.audio.chunk import SAMPLE_RATE_HZ
from transcriber.audio.wav import Recording, read_recording
from transcriber.errors import ServerUnreachable
from transcriber.store.redis_store import RedisStore, open_store

SERVERS = 6
CALLS = 2000
SECONDS = 170
"""All calls begin within about so long, in two waves."""
LENGTHS_MS = (600, 1000, 1400, 2000)
SEED = 7
Texts = Mapping[str, list[str]]
pytestmark = [pytest.mark.fleet, pytest.mark.timeout(400)]


def recording(length_ms: int) -> Recording:
    """The beginning of a sample call; what is said in it does not matter to the scripted engine."""
    whole = read_recording(sample_calls.path(sample_calls.DEFAULT))
    size = length_ms * SAMPLE_RATE_HZ // 1000
    return Recording({track: mulaw[:size] for track, mulaw in whole.tracks.items()})


RECORDINGS = {length_ms: recording(length_ms) for length_ms in LENGTHS_MS}


def moments_s(source: random.Random) -> list[float]:
    """When each call begins: a Poisson process whose rate rises and falls twice."""
    at_s, moments = 0.0, []
    for _ in range(CALLS):
        at_s += source.expovariate(CALLS / SECONDS * (1 - 0.7 * math.cos(4 * math.pi * at_s / SECONDS)))
        moments.append(at_s)
    return moments


async def call(phone: Phone, length_ms: int) -> tuple[str, str]:
    """What became of it: (`whole`, CallSid), (`refused`, why) before the 101, (`cut`, CallSid) after it."""
    begun = ""
    try:
        async with phone.call(RECORDINGS[length_ms], speed=1) as one:
            begun = one.call_sid
            await one.play()
            code = await one.hang_up(within_s=WITHIN_S)
    except (ServerUnreachable, TimeoutError) as error:
        return ("cut", begun) if begun else ("refused", str(error))
    return ("whole" if code == 1000 else "cut"), begun


async def texts_of(store: RedisStore, call_sid: str) -> Texts:
    """What each track said. Raises AssertionError where a `seq` or an end is missing."""
    async with asyncio.timeout(WITHIN_S):
        while (await store.history.call(call_sid))["status"] == "live":  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.02)
    events = [json.loads(text) for text in await store.history.events(call_sid)]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1)), call_sid
    assert events[-1]["type"] == "call.ended", call_sid
    assert [event["reason"] for event in events if event["type"] == "stream.stopped"] == ["stop"], call_sid
    finals = [event for event in events if event["type"] == "final"]
    return {side: [one["text"] for one in finals if one["track"] == side] for side in ("inbound", "outbound")}


async def seen_by_proxy(front: Front) -> tuple[int, int]:
    """By HAProxy's metrics: tries made at another server, and answers 5xx that callers got."""
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{front.metrics[1]}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    elsewhere = values['haproxy_backend_redispatch_warnings_total{proxy="media"}']
    return int(elsewhere), int(values['haproxy_frontend_http_responses_total{proxy="public",code="5xx"}'])


async def test_every_call_is_whole_or_refused_while_servers_come_and_go(
    redis_url: str, tmp_path: Path, front: OpenFront
) -> None:
    source = random.Random(SEED)
    async with fleet(redis_url, tmp_path, servers=SERVERS) as servers:
        prefix = servers.environment["TRANSCRIBER_REDIS_PREFIX"]
        async with await open_store(redis_url, prefix=prefix, ttl_s=3600) as store:
            expected = await undisturbed(servers, store)
            proxy = await front("haproxy", tuple(slot.address for slot in servers.slots))
            phone = Phone(proxy.url, fingerprint=proxy.fingerprint)
            over = asyncio.Event()
            scaling = asyncio.create_task(servers.scale(over))
            lengths = source.choices(LENGTHS_MS, k=CALLS)
            calls, began_s = [], time.monotonic()
            for at_s, length_ms in zip(moments_s(source), lengths, strict=True):
                await asyncio.sleep(max(0.0, began_s + at_s - time.monotonic()))
                calls.append(asyncio.create_task(call(phone, length_ms)))
            outcomes = await asyncio.gather(*calls)
            elsewhere, answered_5xx = await seen_by_proxy(proxy)
            over.set()
            await scaling
            wrong = [
                call_sid
                for (outcome, call_sid), length_ms in zip(outcomes, lengths, strict=True)
                if outcome == "whole" and await texts_of(store, call_sid) != expected[length_ms]
            ]
    counts, most = Counter(outcome for outcome, _ in outcomes), max(taking for _, taking in servers.seen)
    print(
        f"{CALLS} calls: {counts['whole']} whole, {counts['refused']} refused before the 101, {counts['cut']} cut; "
        f"{len(wrong)} texts wrong; {elsewhere} tries at another server; "
        f"servers: {servers.started} started, {servers.stopped} stopped, {servers.stopped_with_calls} of them with "
        f"live calls, {most} at once; most tracks live {max(live for live, _ in servers.seen)}",
        file=sys.stderr,
    )
    assert counts["cut"] == 0
    assert wrong == []
    assert all(" 503 " in why for outcome, why in outcomes if outcome == "refused")
    assert answered_5xx == counts["refused"]  # those that another server made good are not in it, for alerts
    assert counts["whole"] > CALLS / 2
    assert servers.started == servers.stopped > LEAST + 2  # each that was started left by itself, with status 0
    assert servers.stopped_with_calls > 0
    assert most > 3


async def undisturbed(servers: Fleet, store: RedisStore) -> dict[int, Texts]:
    """What calls of each length say at a server that nobody stops, without a proxy."""
    direct = Phone(f"http://{servers.slots[0].address}")
    found = {}
    for length_ms in LENGTHS_MS:
        outcome, call_sid = await call(direct, length_ms)
        assert outcome == "whole", call_sid
        found[length_ms] = await texts_of(store, call_sid)
        assert all(found[length_ms].values())
    return found
