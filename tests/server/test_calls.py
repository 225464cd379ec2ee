"""A call in, transcripts out: the main path as its users see it."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.phone import PhoneCall
from tests.server.conftest import Event, Running, Serve, subscribed
from transcriber.audio import sample_calls
from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.recognition.word_errors import word_errors
from transcriber.server.tuning import Tuning
from transcriber.telephony.media_stream import SPARE_EVENTS
from transcriber.telephony.simulator import CallIds


def kinds(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


def of(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["type"] == kind]


async def get(running: Running, path: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(running.server.url + path) as response:
        assert response.status == 200
        return await response.json()


async def test_a_call_becomes_a_transcript(serve: Serve, demo_model: ModelProcess) -> None:
    running = await serve(model=demo_model)
    async with (
        subscribed(running, "*") as published,
        running.phone.call("08_short_wrong_department", parameters={"tenant": "t-17", "ticket": ""}) as call,
    ):
        await call.play()
        assert await call.hang_up() == 1000
        events = await running.ended(call.call_sid)
        messages = [published.get_nowait() for _ in range(published.qsize())]

    assert kinds(events)[:2] == ["call.started", "stream.started"]
    assert kinds(events)[-2:] == ["stream.stopped", "call.ended"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    finals = of(events, "final")
    turns = sample_calls.reference(sample_calls.path("08_short_wrong_department")) or ()
    for track, speaker in (("inbound", "caller"), ("outbound", "agent")):
        mine = [final for final in finals if final["track"] == track]
        assert {final["speaker"] for final in mine} == {speaker}
        assert [final["utterance"] for final in mine] == sorted({final["utterance"] for final in mine})
        said = [turn for turn in turns if turn.track == track]
        heard = " ".join(final["text"] for final in mine).split()
        assert word_errors(" ".join(turn.text for turn in said).split(), heard).rate < 0.15
        for turn, final in zip(said, mine, strict=True):
            assert abs(final["start_ms"] - turn.start_ms) < 400
            assert abs(final["end_ms"] - turn.end_ms) < 400
    for final in finals:
        assert final["text"] == " ".join(word["word"] for word in final["words"])
        assert final["start_ms"] == final["words"][0]["start_ms"]
        assert 0 < final["confidence"] <= 1
        assert (final["language"], final["model"], final["v"]) == ("en", "en-demo", 1)

    kept = [json.dumps(event, ensure_ascii=False, separators=(",", ":")) for event in events]
    assert [message["json"] for message in messages if not message["channel"].endswith(":partial")] == kept
    partials = [json.loads(message["json"]) for message in messages if message["channel"].endswith(":partial")]
    assert partials
    assert all("seq" not in partial for partial in partials)
    for final in finals:
        mine = [p for p in partials if (p["track"], p["utterance"]) == (final["track"], final["utterance"])]
        assert [p["revision"] for p in mine] == sorted({p["revision"] for p in mine})

    summary = await get(running, f"/v1/calls/{call.call_sid}")
    assert summary["status"] == "ended"
    assert summary["parameters"] == {"tenant": "t-17"}
    transcript = await get(running, f"/v1/calls/{call.call_sid}/transcript")
    assert [final["text"] for final in transcript["utterances"]] == [
        final["text"] for final in sorted(finals, key=lambda final: final["start_ms"])
    ]
    assert [one["call_sid"] for one in (await get(running, "/v1/calls"))["calls"]] == [call.call_sid]


async def test_words_do_not_depend_on_frames_or_stalls(serve: Serve, demo_model: ModelProcess) -> None:
    running = await serve(model=demo_model)
    texts = []
    for frame_ms in (20, 7, 60):
        async with running.phone.call("08_short_wrong_department", frame_ms=frame_ms) as call:
            await call.play(7000)
            async with call.stall(3000):
                await asyncio.sleep(0)
            await call.play()
            await call.hang_up()
            texts.append([(e["track"], e["text"]) for e in of(await running.ended(call.call_sid), "final")])
    assert sorted(texts[0]) == sorted(texts[1]) == sorted(texts[2])


async def test_labels_partials_and_what_cannot_be_granted(serve: Serve) -> None:
    running = await serve()
    asked = {
        "inbound_label": "Ada <b>",
        "partials": "false",
        "hints": "two zebras",
        "grammar": "one,two",
        "model": "other",
        "endpoint_ms": "900",
    }
    async with subscribed(running, "*:partial") as published, running.phone.call(parameters=asked) as call:
        await call.play(3000)
        await call.hang_up()
        events = await running.ended(call.call_sid)
        assert published.empty()
    assert {final["speaker"] for final in of(events, "final")} == {"Ada <b>", "agent"}
    assert {error["code"] for error in of(events, "stream.error")} == {
        "grammar_unsupported",
        "model_unknown",
        "endpoint_ms_unsupported",
    }
    assert of(events, "stream.started")[0]["unknown_words"] == ["zebras"]


@pytest.mark.parametrize(
    "label", ["می\u200cخواهم", "ශ්\u200dරී", "\U0001f468\u200d\U0001f4bb Ada", "山田\u3000太郎", "Dr.\u00a0No"]
)
async def test_a_label_is_the_speaker_letter_by_letter(serve: Serve, label: str) -> None:
    running = await serve()
    parameters = {"inbound_label": label, "outbound_label": "\u200b\u00ad", "endpoint_ms": "00000060099999"}
    async with running.phone.call(parameters=parameters) as call:
        await call.play(2500)
        await call.hang_up()
        events = await running.ended(call.call_sid)
    assert {final["speaker"] for final in of(events, "final")} == {label, "agent"}
    assert "endpoint_ms_invalid" in {error["code"] for error in of(events, "stream.error")}
    summary = await get(running, f"/v1/calls/{call.call_sid}")
    assert summary["tracks"]["inbound"]["speaker"] == summary["parameters"]["inbound_label"] == label


async def test_two_streams_are_one_call(serve: Serve) -> None:
    running = await serve()
    first = CallIds()
    second = CallIds(call=first.call, account=first.account)
    async with running.phone.call(ids=first, tracks=["inbound"]) as inbound:
        await inbound.play(2000)
        async with running.phone.call(ids=second, tracks=["outbound"]) as outbound:
            await outbound.play(2000)
            await running.known(first.call)
            async with asyncio.timeout(20):
                while kinds(await running.events(first.call)).count("stream.started") < 2:  # noqa: ASYNC110 - bounded
                    await asyncio.sleep(0.005)
            await inbound.hang_up()
            await outbound.play(1000)
            await outbound.hang_up()
    events = await running.ended(first.call)
    assert kinds(events).count("call.started") == 1
    assert kinds(events).count("call.ended") == 1
    assert kinds(events).count("stream.stopped") == 2
    assert kinds(events)[-1] == "call.ended"
    starts = [event["start_ms"] for event in of(events, "stream.started")]
    assert starts[0] == 0
    assert starts[1] > 0
    late = [final for final in of(events, "final") if final["track"] == "outbound"]
    assert late[0]["start_ms"] >= starts[1]
    summary = await get(running, f"/v1/calls/{first.call}")
    assert set(summary["tracks"]) == {"inbound", "outbound"}


async def test_a_stream_after_the_end_resumes_the_call(serve: Serve) -> None:
    running = await serve()
    first = CallIds()
    for times, ids in enumerate((first, CallIds(call=first.call, account=first.account)), 1):
        async with running.phone.call(ids=ids) as call:
            await call.play(1000)
            await call.hang_up()
            events = await running.ended(first.call, times=times)
    assert [event["resumed"] for event in of(events, "call.started")] == [False, True]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


async def test_missing_audio_keys_and_repeats(serve: Serve) -> None:
    running = await serve()
    async with running.phone.call(tracks=["inbound"]) as call:
        await call.play(1000)
        await call.drop(500)
        await call.play(1000)
        await call.repeat(200)
        await call.press("7")
        await call.play(1000)
        await call.hang_up()
        events = await running.ended(call.call_sid)
    [gap] = of(events, "gap")
    assert gap["to_ms"] - gap["from_ms"] == 500
    [key] = of(events, "dtmf")
    assert key["digit"] == "7"
    assert 2600 < key["start_ms"] < 3100
    [error] = of(events, "stream.error")
    assert error["code"] == "repeated_sequence"
    [stopped] = of(events, "stream.stopped")
    assert stopped["audio_ms"] == {"inbound": 3200}
    assert stopped["errors"] == {"repeated_sequence": 10}
    assert sum(len(final["words"]) for final in of(events, "final")) == 3700 // 250


async def test_a_flood_of_keys_is_told_once_and_counted(serve: Serve) -> None:
    running = await serve()
    async with running.phone.call(tracks=["inbound"]) as call:
        for _ in range(1500):
            await call.press("1")
        await call.hang_up()
        events = await running.ended(call.call_sid)
    assert len(of(events, "dtmf")) == SPARE_EVENTS
    assert [error["code"] for error in of(events, "stream.error")] == ["too_many_events"]
    assert of(events, "stream.stopped")[0]["errors"] == {"too_many_events": 1500 - SPARE_EVENTS}


async def test_connections_to_redis_may_break(serve: Serve) -> None:
    running = await serve(model=None)
    async with running.phone.call(tracks=["inbound"]) as call:
        for _ in range(5):
            await call.play(2000)
            await running.server.store.client.client_kill_filter(_type="normal", skipme=False)
        await call.hang_up()
        events = await running.ended(call.call_sid)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [final["utterance"] for final in of(events, "final")] == list(range(1, 11))


async def test_a_redis_that_stalls_delays_and_loses_nothing(serve: Serve) -> None:
    running = await serve()
    async with running.phone.call(tracks=["inbound"]) as call:
        await call.play(3000)
        await running.server.store.client.client_pause(2500)
        await call.play(3000)
        await call.hang_up()
        events = await running.ended(call.call_sid)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [final["utterance"] for final in of(events, "final")] == list(range(1, 7))
    assert kinds(events)[-1] == "call.ended"


@pytest.mark.parametrize("how", ["stop", "close", "cut", "callback", "inactivity"])
async def test_every_end_is_an_end(serve: Serve, how: str) -> None:
    running = await serve(inactivity_s=1 if how == "inactivity" else 100)
    async with running.phone.call(tracks=["inbound"]) as call:
        await call.play(2400)
        match how:
            case "stop":
                assert await call.hang_up() == 1000
            case "close":
                await call.hang_up(stop=False)
            case "cut":
                await call.cut()
            case "callback":
                form = {"StreamEvent": "stream-stopped", "StreamSid": call.stream_sid, "CallSid": call.call_sid}
                async with (
                    aiohttp.ClientSession() as session,
                    session.post(running.server.url + "/v1/stream-status", data=form) as response,
                ):
                    assert response.status == 204
                assert await call.closed() == 1000
            case "inactivity":
                assert await call.closed() == 1000
        events = await running.ended(call.call_sid)
    reason = {"close": "disconnected", "cut": "disconnected"}.get(how, how)
    assert [event["reason"] for event in events[-2:]] == [reason, reason]
    assert kinds(events).count("call.ended") == 1
    assert sum(len(final["words"]) for final in of(events, "final")) == 2400 // 250


@pytest.mark.parametrize("event", ["stream-error", "stream-stopped"])
async def test_a_status_callback_ends_no_stream_whose_audio_goes_on(serve: Serve, event: str) -> None:
    running = await serve(tuning=Tuning(callback_grace_s=1.0))

    async def call_back(call: PhoneCall) -> None:
        form = {"StreamEvent": event, "StreamSid": call.stream_sid, "StreamError": "31950"}
        url = f"{running.server.url}/v1/stream-status"
        async with aiohttp.ClientSession() as session, session.post(url, data=form) as answer:
            assert answer.status == 204

    async with (
        running.phone.call(tracks=["inbound"], speed=1) as call,
        subscribed(running, f"{call.call_sid}:event") as events,
    ):
        await call.play(200)
        await call_back(call)
        said = asyncio.create_task(_codes(events, "still_sending"))
        while not said.done():
            await call.play(100)
        codes = await asyncio.wait_for(said, 20)
        assert codes == (["twilio_error", "still_sending"] if event == "stream-error" else ["still_sending"])
        assert call.close_code is None
        await call.play(300)
        await call_back(call)
        assert await call.closed() == 1000
        events_kept = await running.ended(call.call_sid)
    assert events_kept[-1]["reason"] == "callback"
    assert kinds(events_kept).count("stream.error") == len(codes)


async def _codes(events: "asyncio.Queue[Event]", last: str) -> list[str]:
    """The codes of stream.error events as they come, up to this one."""
    codes: list[str] = []
    while last not in codes:
        event = json.loads((await events.get())["json"])
        if event["type"] == "stream.error":
            codes.append(event["code"])
    return codes
