"""Several streams of one call: what the call is told once, and what two that carry the same track are."""

from tests.server.conftest import Serve
from tests.server.test_calls import get, of
from transcriber.caller import CallIds


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
            await running.ended(ids.call)
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
    for parameters in ({"inbound_label": "Ada"}, {}, {"outbound_label": "Bo"}):
        async with running.phone.call(ids=CallIds(call=first.call), parameters=parameters) as call:
            await call.play(1100)
            await call.hang_up()
            events = await running.ended(first.call)
        await running.live(0)
    assert [event["speakers"] for event in of(events, "stream.started")] == [
        {"inbound": "Ada", "outbound": "agent"},
        {"inbound": "Ada", "outbound": "agent"},
        {"inbound": "Ada", "outbound": "Bo"},
    ]
    assert {final["speaker"] for final in of(events, "final") if final["track"] == "inbound"} == {"Ada"}
