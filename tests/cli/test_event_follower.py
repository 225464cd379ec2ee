"""Reading server-sent events: cut anywhere, resumed after a break, bounded patience."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from tests.recording_server import RecordingServer, final
from transcriber.cli.event_follower import MAX_MESSAGE_CHARS, Message, Parser, follow
from transcriber.cli.http_client import Connection, Server
from transcriber.errors import CallNotFound, ServerUnreachable

Serve = Callable[[Any], Awaitable[TestServer]]
WHOLE = ": hello\r\n\r\nid: 1\r\ndata: {\r\ndata:  é}\r\n\r\nevent: x\nretry: 5\ndata\n\nid:2\rdata:two\r\r\n".encode()
EXPECTED = [Message("1", "{\n é}"), Message("", ""), Message("2", "two")]
SCRIPT = [{"type": "call.started"}, final("one"), final("two"), {"type": "call.ended"}]


@pytest.mark.parametrize("size", range(1, 20))
def test_the_parser_does_not_care_where_it_is_cut(size: int) -> None:
    parser = Parser()
    found = [m for at in range(0, len(WHOLE), size) for m in parser.feed(WHOLE[at : at + size])]
    assert found == EXPECTED


def test_an_event_without_end_is_refused() -> None:
    with pytest.raises(ServerUnreachable, match="without end"):
        Parser().feed(b"data: " + b"x" * MAX_MESSAGE_CHARS)
    parser = Parser()
    lines = b"data: " + b"x" * (MAX_MESSAGE_CHARS // 2) + b"\n"
    assert parser.feed(lines) == []
    with pytest.raises(ServerUnreachable, match="without end"):
        parser.feed(lines * 2)


async def collected(recording_server: RecordingServer, serve: Serve, *, patience_s: float = 5) -> list[dict[str, Any]]:
    server = await serve(recording_server.app())
    async with (
        Connection(Server(str(server.make_url("")).rstrip("/"))) as api,
        aclosing(follow(api, "CA1", patience_s=patience_s)) as events,
    ):
        return [event async for event in events]


async def test_follows_to_the_end_of_the_call(aiohttp_server: Serve) -> None:
    recording_server = RecordingServer(events=SCRIPT, received=[{"event": "start"}])
    recording_server.ended.set()
    assert await collected(recording_server, aiohttp_server) == SCRIPT


async def test_a_broken_connection_is_resumed_where_it_broke(aiohttp_server: Serve) -> None:
    recording_server = RecordingServer(events=SCRIPT, received=[{"event": "start"}], break_after_event=2)
    recording_server.ended.set()
    assert await collected(recording_server, aiohttp_server) == SCRIPT
    assert recording_server.resumed_from == ["", "2"]


async def test_a_call_that_never_comes(aiohttp_server: Serve) -> None:
    with pytest.raises(CallNotFound, match="no such call"):
        await collected(RecordingServer(), aiohttp_server, patience_s=0.3)


async def test_events_that_end_before_the_call(aiohttp_server: Serve) -> None:
    recording_server = RecordingServer(events=SCRIPT[:2], received=[{"event": "start"}])
    with pytest.raises(ServerUnreachable, match="ended the events before the call"):
        await collected(recording_server, aiohttp_server, patience_s=0.3)


async def test_events_that_are_not_objects(aiohttp_server: Serve) -> None:
    recording_server = RecordingServer(events=[[1, 2]], received=[{"event": "start"}])
    with pytest.raises(ServerUnreachable, match="not JSON objects"):
        await collected(recording_server, aiohttp_server)
