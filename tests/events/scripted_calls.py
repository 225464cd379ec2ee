"""Odd calls on a scripted engine, the same ones each time: what is published of them was recorded once, see `recorded`.

Sids and texts are fixed. Moments are not, nor is the order of what two tracks say.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tests.phone import PhoneCall
from tests.server.conftest import Running, subscribed
from transcriber.recognition.worker.protocol import ScriptedModel
from transcriber.telephony.simulator import CallIds

SCRIPT = (
    "one two three four",
    'naïve "quoted" back\\slash 日本語 emoji😀 <b>&amp;</b>',
    "control\x01 delete\x7f nul\x00 slash/ separator\u200b end",
)
PARAMETERS = {
    "inbound_label": "Zoë „die Große“",
    "outbound_label": 'Bo "the" \\ agent',
    "naïve 名前": "値 😀 \U0001f469\u200d\U0001f4bb",
    "broken": "lone \ud800 surrogate, line\nend, tab\t, nul\x00, separator\u2028",
    "empty": "",
    "ticket": "",
    "hints": "three four, xylophone, ünknown",
    "endpoint_ms": "much",
    "partials": "maybe",
}

Play = Callable[[Running, str], Awaitable[None]]


MODEL = ScriptedModel(tuple(SCRIPT))
"""What hears the calls."""


def ids(call: str, stream: int = 1) -> CallIds:
    """The fixed sids of a call's stream."""
    return CallIds(account=f"AC{call}", call=f"CA{call}", stream=f"MZ{call}{stream}")


async def plain(running: Running, name: str) -> None:
    """Two tracks, hung up in order."""
    async with running.phone.call(ids=ids(name)) as call:
        await call.play(7000)
        await call.hang_up()


async def keys(running: Running, name: str) -> None:
    """Keys are pressed, among them one that is none."""
    async with running.phone.call(ids=ids(name), tracks=["inbound"]) as call:
        for digit in "1*#D":
            await call.play(700)
            await call.press(digit)
        await call.press("x")
        await call.hang_up()


async def holes(running: Running, name: str) -> None:
    """Audio is lost on both tracks, then on one; some comes late, backwards and twice."""
    async with running.phone.call(ids=ids(name)) as call:
        await call.play(1500)
        await call.drop(400)
        await call.play(1500)
        await call.mute("outbound", 1000)
        await call.play(1000)
        await call.reorder(40)
        await call.repeat(20)
        call.skip(3000)
        await call.play(1500)
        await call.hang_up()


async def faults(running: Running, name: str) -> None:
    """What no caller should send."""
    async with running.phone.call(ids=ids(name), tracks=["outbound"]) as call:
        await call.play(500)
        await _nonsense(call)
        await call.play(500)
        await call.hang_up()


async def parameters(running: Running, name: str) -> None:
    """Parameters of every script, some of which cannot be understood."""
    async with running.phone.call(ids=ids(name), parameters=PARAMETERS) as call:
        await call.play(3000)
        await call.hang_up()


async def cut(running: Running, name: str) -> None:
    """The line breaks, once all that was sent has arrived."""
    async with running.phone.call(ids=ids(name)) as call:
        await call.play(2000)
        await running.known(call.call_sid)
        async with subscribed(running, f"{call.call_sid}:event") as events, asyncio.timeout(10):
            await call.press("0")
            while '"type":"dtmf"' not in str((await events.get())["json"]):
                pass
        await call.cut()


async def together(running: Running, name: str) -> None:
    """Two streams of one call at once, which share a track."""
    async with running.phone.call(ids=ids(name)) as one:
        await one.play(1000)
        await running.known(one.call_sid)
        async with running.phone.call(ids=ids(name, 2), tracks=["inbound"]) as other:
            await running.live(2)
            await other.play(2000)
            await other.hang_up()
        await one.play(1000)
        await one.hang_up()


async def resumed(running: Running, name: str) -> None:
    """A second stream after the call had ended."""
    for stream in (1, 2):
        async with running.phone.call(ids=ids(name, stream)) as call:
            await call.play(1500)
            await call.hang_up()
        await running.live(0)


async def silent(running: Running, name: str) -> None:
    """A stream without audio."""
    async with running.phone.call(ids=ids(name)) as call:
        await call.hang_up()


PLAYS: Mapping[str, Play] = {
    play.__name__: play for play in (plain, keys, holes, faults, parameters, cut, together, resumed, silent)
}
LATER_STREAMS = frozenset({"together", "resumed"})
"""Where a second stream begins is a matter of the wall clock."""


async def record(running: Running, name: str) -> dict[str, Any]:
    """Play a call: what was published, as (channel, JSON), what is kept, as (id, JSON), and the call's hash."""
    call_sid = f"CA{name}"
    prefix = running.server.settings.redis_prefix
    client = running.server.store.client
    async with subscribed(running, "*") as queue:
        await PLAYS[name](running, name)
        await running.ended(call_sid)
        await running.live(0)
        rows: Any = await client.xrange(f"{prefix}:{{{call_sid}}}:events")
        kept = [(number, fields["event"]) for number, fields in rows]
        published: list[tuple[str, str]] = []
        async with asyncio.timeout(10):
            while not published or published[-1][1] != kept[-1][1]:
                message = await queue.get()
                published.append((str(message["channel"]).removeprefix(f"{prefix}:"), str(message["json"])))
    return {
        "call_sid": call_sid,
        "published": published,
        "kept": kept,
        "hash": await client.hgetall(f"{prefix}:{{{call_sid}}}:call"),
    }


async def _nonsense(call: PhoneCall) -> None:
    messages: list[Any] = [
        {"event": "media", "media": {"track": "outbound", "payload": "no base64!"}},
        {"event": "media", "media": {"track": "inbound", "payload": "////"}},
        {"event": "media", "media": {"track": "outbound", "timestamp": "99999999", "payload": "////"}},
        {"event": "mä“\u2028rk"},
        {"event": "dtmf", "dtmf": {"digit": "77"}},
        {"no": "event"},
        ["no object"],
        {"event": "connected"},
        {"event": "start", "start": {}},
        {"event": "mark", "sequenceNumber": "9000"},
    ]
    for message in messages:
        await call.send(json.dumps(message))
