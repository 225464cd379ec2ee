"""Every refusal and close code of the contract, seen by a real client; and that a healthy call beside is untouched."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.hostile.frames import frame, upgraded
from tests.server.conftest import Running, Serve
from transcriber.cli.main import build_parser
from transcriber.errors import ConfigError, ServerUnreachable
from transcriber.server.tuning import Tuning
from transcriber.settings.api_keys import settings_entry
from transcriber.settings.definition import Settings
from transcriber.settings.safety import require_safe
from transcriber.telephony.simulator import CallIds
from transcriber.telephony.simulator.message_builder import MessageBuilder
from transcriber.web.limits.client_limits import ClientLimits

TOKEN = "12345"
READER = "reader" * 6
PUBLIC = {"twilio_auth_token": (TOKEN,), "public_url": "https://media.example.net/asr"}


def start(ids: CallIds, **changes: Any) -> str:
    """A start message with changes to its `start` object."""
    message = json.loads(MessageBuilder(ids, ["inbound"]).start())
    message["start"] |= changes
    return json.dumps(message)


async def refused(running: Running, **call: Any) -> str:
    """The words with which an upgrade is refused."""
    with pytest.raises(ServerUnreachable) as caught:
        async with running.phone.call(**call):
            pass
    return str(caught.value)


async def test_a_signature_lets_in_and_nothing_else_does(serve: Serve) -> None:
    signed = await serve(**PUBLIC, phone={"auth_token": TOKEN, "public_url": PUBLIC["public_url"]})
    async with signed.phone.call() as call:
        await call.play(1000)
        assert await call.hang_up() == 1000
    for phone in ({}, {"auth_token": "54321", "public_url": PUBLIC["public_url"]}, {"auth_token": TOKEN}):
        assert "403" in await refused(await serve(**PUBLIC, phone=phone))


async def test_an_api_key_is_as_good_as_a_signature(serve: Serve) -> None:
    running = await serve(**PUBLIC, api_keys=("k1", "k2"), phone={"api_key": "k2"})
    async with running.phone.call() as call:
        await call.play(500)
        assert await call.hang_up() == 1000
    assert "403" in await refused(await serve(**PUBLIC, api_keys=("k1",), phone={"api_key": "k"}))


async def test_other_machines_need_a_signature(serve: Serve) -> None:
    assert "403" in await refused(await serve(), headers={"X-Forwarded-For": "203.0.113.9"})


async def test_other_paths_are_not_found(serve: Serve) -> None:
    running = await serve()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(running.server.url + "/v1/other")
        assert caught.value.status == 404
        async with session.get(running.server.url + "/v1/media") as response:
            assert response.status == 426


@pytest.mark.parametrize("why", ["full", "draining"])
async def test_full_and_draining_are_503(serve: Serve, why: str) -> None:
    running = await serve(max_tracks=3)
    async with running.phone.call() as call:
        await running.live(1)
        if why == "draining":
            running.server.sessions.admission.draining = True
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(running.server.url + "/v1/media")
        assert caught.value.status == 503
        assert caught.value.headers is not None
        assert int(caught.value.headers["Retry-After"]) > 0
        await call.play(1000)
        assert await call.hang_up() == 1000


async def test_a_server_of_the_api_alone_takes_no_stream_and_shows_those_of_others(serve: Serve) -> None:
    taking = await serve(redis_prefix="shared")
    showing = await serve(redis_prefix="shared", no_media=True, data_dir=taking.server.settings.data_dir / "other")
    assert "NO_MEDIA is set" in await refused(showing)
    async with taking.phone.call() as call:
        await call.play(1000)
        assert await call.hang_up() == 1000
    await taking.ended(call.call_sid)
    async with aiohttp.ClientSession(showing.server.url) as session:
        async with session.get(f"/v1/calls/{call.call_sid}") as response:
            assert (await response.json())["status"] == "ended"
        for query, status in (("", 503), ("?exclude=room", 200)):
            async with session.get(f"/readyz{query}") as response:
                assert response.status == status
                assert (await response.json()).get("problems", {}) == ({} if query else {"full": "no_media"})
        async with session.post("/v1/twiml", data={"CallSid": "CA1"}) as response:
            assert "<!-- not transcribed: this server takes no calls: NO_MEDIA is set -->" in await response.text()
        async with session.post("/v1/sample-calls") as response:
            assert "NO_MEDIA is set" in (await response.json())["error"]["message"]
        async with session.get("/metrics") as response:
            assert "\ntranscriber_tracks_capacity 0.0\n" in await response.text()


def test_a_server_of_the_api_alone_needs_the_redis_of_others() -> None:
    with pytest.raises(ConfigError, match="NO_MEDIA is set but TRANSCRIBER_REDIS_URL is not"):
        require_safe(Settings(no_media=True))
    settings = build_parser().parse_args(["serve", "--no-media", "--journal", "0"])
    assert (settings.no_media, settings.journal) == ("1", "0")


async def test_more_tracks_than_expected_are_1013(serve: Serve) -> None:
    running = await serve(max_tracks=4, insecure=True, api_keys=("k1",))
    async with (
        running.phone.call() as first,
        running.phone.call(start=False) as second,
    ):
        await running.live(1)
        async with running.phone.call(tracks=["inbound"], headers={"X-API-Key": "k1"}) as third:
            await running.live(2)
            await second.send(start(CallIds(), tracks=["inbound", "outbound"]))
            assert await second.closed() == 1013
            await third.play(500)
            assert await third.hang_up() == 1000
        assert await first.hang_up() == 1000


FORMATS = [
    {"encoding": "audio/x-alaw", "sampleRate": 8000, "channels": 1},
    {"encoding": "audio/x-mulaw", "sampleRate": "16000", "channels": 1},
    {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 2},
]


@pytest.mark.parametrize("form", FORMATS)
async def test_other_formats_are_1003(serve: Serve, form: dict[str, Any]) -> None:
    async with (await serve()).phone.call(start=False) as call:
        await call.send(start(CallIds(), mediaFormat=form))
        assert await call.closed() == 1003


ENDING = [
    (b"\x00\x01", 1003),
    ("no json", 1007),
    ("[]", 1008),
    ('{"event": "media"}', 1008),
    ('{"event": "stop", "stop": {}}', 1008),
    ('{"event": "start", "start": {}}', 1008),
    ("x" * (64 * 1024 + 1), 1009),
]


@pytest.mark.parametrize(
    ("message", "code", "started"),
    # Inside a running stream what is out of protocol (1008) is passed over.
    [(*case, False) for case in ENDING] + [(*case, True) for case in ENDING if case[1] != 1008],
)
async def test_messages_that_end_a_stream(serve: Serve, message: str | bytes, code: int, *, started: bool) -> None:
    running = await serve()
    async with running.phone.call(tracks=["inbound"], start=started) as call:
        if started:
            await call.play(1000)
        await call.send(message)
        assert await call.closed() == code
        if started:
            events = await running.ended(call.call_sid)
            assert [event["text"] for event in events if event["type"] == "final"] == ["one two three four"]
            assert events[-1]["reason"] == "refused"


async def test_text_that_is_not_utf8_is_1007(serve: Serve) -> None:
    running = await serve()
    async with upgraded(running.server.url) as socket:
        await socket.send(frame(b"\xff\xfe"))
        assert await socket.closed() == 1007


async def test_no_start_in_time_is_1008(serve: Serve) -> None:
    async with (await serve(tuning=Tuning(client_limits=ClientLimits(start_s=0.2)))).phone.call(start=False) as call:
        await call.send('{"event": "connected"}')
        assert await call.closed() == 1008


async def test_admission_may_take_longer_than_a_start(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a call is the first to ask for a large model."""
    start_s = 0.5
    running = await serve(tuning=Tuning(client_limits=ClientLimits(start_s=start_s)), require_ticket=True)
    redeem, ids = running.server.store.tickets.redeem, CallIds()
    ticket = await running.server.store.tickets.issue(ids.call)

    async def slowly(*args: str) -> bool:
        await asyncio.sleep(2 * start_s)
        return bool(await redeem(*args))

    monkeypatch.setattr(running.server.store.tickets, "redeem", slowly)
    async with running.phone.call(ids=ids, parameters={"ticket": ticket}) as call:
        await call.play(1000)
        assert await call.hang_up() == 1000
        assert (await running.ended(ids.call))[-1]["reason"] == "stop"


async def test_the_same_stream_twice_is_1008(serve: Serve) -> None:
    running = await serve()
    async with running.phone.call() as call, running.phone.call(ids=call.messages.ids) as twin:
        assert await twin.closed() == 1008
        await call.play(1000)
        assert await call.hang_up() == 1000


async def test_another_account_is_1008(serve: Serve) -> None:
    ids = CallIds()
    running = await serve(twilio_account_sid=("AC" + "7" * 32, ids.account))
    async with running.phone.call() as stranger, running.phone.call(ids=ids) as ours:
        assert await stranger.closed() == 1008
        assert await ours.hang_up() == 1000


async def test_tickets_are_good_once_for_their_call(serve: Serve) -> None:
    running = await serve(require_ticket=True)
    ids = CallIds()
    async with (
        aiohttp.ClientSession() as session,
        session.post(running.server.url + "/v1/twiml", data={"CallSid": ids.call}) as response,
    ):
        ticket = (await response.text()).split('name="ticket" value="')[1].split('"')[0]
    other = CallIds()
    for parameters, wrong in (({}, ids), ({"ticket": "made-up"}, ids)):
        async with running.phone.call(ids=wrong, parameters=parameters) as call:
            assert await call.closed() == 1008
    async with running.phone.call(ids=ids, parameters={"ticket": ticket}) as call:
        await call.play(1000)
        assert await call.hang_up() == 1000
        assert ticket not in str(await running.ended(ids.call))
    for wrong in (ids, other):
        async with running.phone.call(ids=wrong, parameters={"ticket": ticket}) as call:
            assert await call.closed() == 1008


async def test_an_address_that_wastes_sockets_is_429_and_good_calls_cost_nothing(serve: Serve) -> None:
    running = await serve(insecure=True, rate_per_address=3)
    elsewhere = {"X-Forwarded-For": "203.0.113.9"}
    for _ in range(6):
        async with running.phone.call(headers=elsewhere) as call:
            assert await call.hang_up() == 1000
    for _ in range(3):
        async with running.phone.call(headers=elsewhere, start=False) as call:
            await call.send("no json")
            assert await call.closed() == 1007
    assert "429" in await refused(running, headers=elsewhere)
    async with running.phone.call() as call:  # this machine itself
        assert await call.hang_up() == 1000


async def test_a_key_without_the_role_may_not_stream(serve: Serve) -> None:
    keys = (settings_entry("read+delete", READER), settings_entry("admin", "all" * 9))
    assert "role admin" in await refused(await serve(**PUBLIC, api_keys=keys, phone={"api_key": READER}))
    running = await serve(**PUBLIC, api_keys=keys, phone={"api_key": "all" * 9})
    async with running.phone.call() as call:
        assert await call.hang_up() == 1000


async def test_an_account_of_any_letters_is_refused_in_order(serve: Serve) -> None:
    running = await serve(twilio_account_sid=("AC" + "1" * 32,))
    async with running.phone.call(ids=CallIds(account="ÄC😀")) as call:
        assert await call.closed() == 1008


async def test_our_own_failure_is_1011(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    running = await serve()

    async def broken(*_: object) -> None:
        raise RuntimeError("bug")

    async with running.phone.call() as healthy:
        await running.live(1)
        monkeypatch.setattr(running.server.sessions, "admit", broken)
        async with running.phone.call() as call:
            assert await call.closed() == 1011
        await healthy.play(1000)
        assert await healthy.hang_up() == 1000


NONSENSE = [
    "[]",
    "{}",
    '{"event": "video"}',
    '{"event": "media"}',
    '{"event": "media", "media": {"payload": "?!"}}',
    '{"event": "media", "media": {"track": "third", "payload": "////"}}',
    '{"event": "connected"}',
    '{"event": "dtmf", "dtmf": {"digit": "ten"}}',
    '{"event": "mark", "mark": {}}',
]


async def test_nonsense_loses_no_audio_and_touches_nobody(serve: Serve) -> None:
    running = await serve()
    async with running.phone.call() as healthy, running.phone.call() as call:

        async def speak() -> None:
            await healthy.play(10_000)

        async def rave() -> None:
            for _ in range(50):
                await call.play(200)
                for text in (*NONSENSE, call.messages.start()):
                    await call.send(text)

        await asyncio.gather(speak(), rave())
        for one in (call, healthy):
            assert await one.hang_up() == 1000
        told = [await running.ended(one.call_sid) for one in (call, healthy)]
    words = [[(e["track"], e["text"], e["start_ms"]) for e in events if e["type"] == "final"] for events in told]
    assert sorted(words[0]) == sorted(words[1])
    codes = [event["code"] for event in told[0] if event["type"] == "stream.error"]
    assert len(codes) == len(set(codes)) >= 7
    assert not [event for event in told[1] if event["type"] == "stream.error"]
    stopped = next(event for event in told[0] if event["type"] == "stream.stopped")
    assert stopped["errors"]["bad_base64"] == 50


async def test_too_many_parameters_are_told_and_the_ticket_behind_them_counts(serve: Serve) -> None:
    running = await serve(require_ticket=True)
    ids = CallIds()
    parameters = {f"p{n}": "x" for n in range(120)}
    parameters["ticket"] = await running.server.store.tickets.issue(ids.call)
    async with running.phone.call(ids=ids, parameters=parameters) as call:
        await call.play(100)
        assert await call.hang_up() == 1000
    events = await running.ended(ids.call)
    assert [event["code"] for event in events if event["type"] == "stream.error"] == ["too_many_parameters"]
    assert events[-2]["errors"] == {"too_many_parameters": 1}
