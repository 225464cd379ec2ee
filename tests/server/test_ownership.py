"""Two servers, one Redis: a stream that lives on one of them is not taken over by the other."""

import secrets
from collections.abc import Sequence
from pathlib import Path

from tests.server.conftest import Event, Running, Serve
from transcriber.telephony.simulator import CallIds


async def two_servers(serve: Serve, tmp_path: Path) -> tuple[Running, Running]:
    """On one Redis, each with a data directory of its own, as on two machines."""
    prefix = f"test{secrets.token_hex(4)}"
    one, other = [await serve(redis_prefix=prefix, data_dir=tmp_path / name) for name in ("one", "other")]
    return one, other


def said(events: Sequence[Event]) -> list[tuple[str, str]]:
    return sorted((event["track"], event["text"]) for event in events if event["type"] == "final")


async def test_a_stream_that_lives_on_another_server_is_refused_and_stays_whole(serve: Serve, tmp_path: Path) -> None:
    one, other = await two_servers(serve, tmp_path)
    async with one.phone.call() as alone:
        await alone.play()
        await alone.hang_up()
    expected = said(await one.ended(alone.call_sid))
    ids = CallIds()
    async with one.phone.call(ids=ids) as first:
        await first.play(3000)
        await one.known(ids.call)
        async with other.phone.call(ids=ids) as second:
            assert await second.closed() == 1008
        await other.live(0)
        await first.play()
        assert await first.hang_up() == 1000
    events = await one.ended(ids.call)
    assert said(events) == expected
    assert [event["type"] for event in events if event["type"] != "final"] == [
        "call.started",
        "stream.started",
        "stream.stopped",
        "call.ended",
    ]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


async def test_another_stream_of_the_same_call_is_welcome_on_another_server(serve: Serve, tmp_path: Path) -> None:
    one, other = await two_servers(serve, tmp_path)
    ids = CallIds()
    async with one.phone.call(ids=ids) as first:
        await first.play(1000)
        await one.known(ids.call)
        async with other.phone.call(ids=CallIds(call=ids.call)) as second:
            await second.play(1000)
            assert await second.hang_up() == 1000
        await first.play(1000)
        assert await first.hang_up() == 1000
    events = await one.ended(ids.call)
    assert [event["type"] for event in events].count("stream.stopped") == 2
