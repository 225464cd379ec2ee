"""Several streams of one call: what the call is told once, and what two that carry the same track are."""

from tests.server.conftest import Serve
from tests.server.test_calls import get, of
from transcriber.telephony.simulator import CallIds


async def test_what_a_call_was_told_is_not_taken_back_by_a_stream_that_says_nothing(serve: Serve) -> None:
    """The same call on two servers of one Redis: a label given once stays, a new one counts."""
    servers = [await serve(redis_prefix="told") for _ in range(2)]
    ids, told = CallIds(), []
    for number, parameters in enumerate(
        [
            {"inbound_label": "Ada", "outbound_label": "Bo", "language": "en", "customer": "17"},
            {},
            {"inbound_label": " ", "customer": ""},
            {"inbound_label": "Cy"},
            {},
        ]
    ):
        running = servers[number % 2]
        async with running.phone.call(ids=CallIds(call=ids.call), parameters=parameters) as call:
            await call.play(1000)
            await call.hang_up()
            await running.ended(ids.call, times=number + 1)
        await running.live(0)
        summary = await get(running, f"/v1/calls/{ids.call}")
        told.append(
            (summary["tracks"]["inbound"]["speaker"], summary["tracks"]["outbound"]["speaker"], summary["parameters"])
        )
    kept = {"inbound_label": "Ada", "outbound_label": "Bo", "language": "en", "customer": "17"}
    assert told == [("Ada", "Bo", kept)] * 3 + [("Cy", "Bo", kept | {"inbound_label": "Cy"})] * 2


async def test_a_later_stream_without_labels_is_told_under_the_names_given_before(serve: Serve) -> None:
    running = await serve()
    first = CallIds()
    for times, parameters in enumerate(({"inbound_label": "Ada"}, {}, {"outbound_label": "Bo"}), 1):
        async with running.phone.call(ids=CallIds(call=first.call), parameters=parameters) as call:
            await call.play(1100)
            await call.hang_up()
            events = await running.ended(first.call, times=times)
        await running.live(0)
    assert [event["speakers"] for event in of(events, "stream.started")] == [
        {"inbound": "Ada", "outbound": "agent"},
        {"inbound": "Ada", "outbound": "agent"},
        {"inbound": "Ada", "outbound": "Bo"},
    ]
    assert {final["speaker"] for final in of(events, "final") if final["track"] == "inbound"} == {"Ada"}


async def test_two_live_streams_with_the_same_track_are_both_heard_and_counted_once(serve: Serve) -> None:
    running = await serve()
    first = CallIds()
    second = CallIds(call=first.call, account=first.account)
    async with running.phone.call(ids=first) as one:
        await one.play(3000)
        await running.known(first.call)
        async with running.phone.call(ids=second, tracks=["inbound"]) as other:
            await running.live(2)
            await other.play(3000)
            await other.hang_up()
        await one.hang_up()
        events = await running.ended(first.call)
    [error] = of(events, "stream.error")
    assert (error["code"], error["stream_sid"]) == ("duplicate_track", second.stream)
    finals = [final for final in of(events, "final") if final["track"] == "inbound"]
    assert {final["stream_sid"] for final in finals} == {first.stream, second.stream}
    talked = {moment for final in finals for moment in range(final["start_ms"], final["end_ms"])}
    summary = await get(running, f"/v1/calls/{first.call}")
    assert summary["tracks"]["inbound"]["talk_ms"] <= len(talked)
    assert summary["tracks"]["inbound"]["audio_ms"] == 6000


async def test_streams_one_after_another_share_no_track(serve: Serve) -> None:
    running = await serve()
    first = CallIds()
    for times, ids in enumerate((first, CallIds(call=first.call)), 1):
        async with running.phone.call(ids=ids) as call:
            await call.play(1000)
            await call.hang_up()
            events = await running.ended(first.call, times=times)
        await running.live(0)
    assert of(events, "stream.error") == []
