"""calls, show and rm against a server: what they ask, what they print, how refusals read."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from rich.console import Console

from tests.recording_server import RecordingServer
from transcriber.cli.calls import table_of
from transcriber.cli.main import main
from transcriber.cli.rich_terminal.table import draw

Serve = Callable[[Any], Awaitable[TestServer]]
CALL: dict[str, Any] = {
    "call_sid": "CA" + "1" * 32,
    "status": "ended",
    "started_at": "2026-11-23T05:20:00.000Z",
    "duration_ms": 65_400,
    "tracks": {"inbound": {"speaker": "caller"}, "outbound": {"speaker": "agent"}},
    "finals": 12,
    "words": 129,
}


async def run(serve: Serve, recording_server: RecordingServer, *argv: str) -> int:
    """The command's exit status, run beside the server."""
    server = await serve(recording_server.app())
    return await asyncio.to_thread(main, [*argv, "--url", str(server.make_url("/"))])


async def test_a_table_of_calls(aiohttp_server: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = {"call_sid": "CA2", "status": "[red]odd\x1b[2J", "tracks": None}
    recording_server = RecordingServer(answers={"GET /v1/calls": (200, {"calls": [CALL, hostile], "next": None})})
    assert await run(aiohttp_server, recording_server, "calls", "--status", "ended") == 0
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["call", "started", "length", "status", "tracks", "finals", "words"]
    assert first.startswith(CALL["call_sid"])
    assert first.split()[3:] == ["01:05", "ended", "both", "12", "129"]
    assert "\x1b" not in second
    assert recording_server.requests == [("GET /v1/calls", {"status": "ended", "limit": "20"})]


async def test_a_search_shows_where_the_words_are(aiohttp_server: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    match = {"start_ms": 12_340, "speaker": "Ada\x1b[2J", "text": "my card is lost", "marks": [[3, 7]]}
    found = CALL | {"matches": [match], "match_count": 1}
    recording_server = RecordingServer(answers={"GET /v1/calls": (200, {"calls": [found], "next": None})})
    assert await run(aiohttp_server, recording_server, "calls", "--search", "card") == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[-1].endswith("my card is lost")
    assert "00:12" in shown
    assert "\x1b" not in shown
    assert recording_server.requests == [("GET /v1/calls", {"q": "card", "limit": "20"})]


def test_the_table_fits_80_columns() -> None:
    console = Console(width=80, file=io.StringIO())
    with console.capture() as capture:
        draw(table_of([CALL]), console)
    header, first, second = capture.get().splitlines()
    assert header.split() == ["call", "started", "length", "status", "tracks", "finals", "words"]
    assert CALL["call_sid"] in first
    assert first.endswith("129")
    assert len(second.split()) == 1


async def test_calls_as_json_over_several_pages(aiohttp_server: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    page = {"calls": [CALL] * 200, "next": "c2"}
    recording_server = RecordingServer(answers={"GET /v1/calls": (200, page)})
    assert await run(aiohttp_server, recording_server, "calls", "--json", "--limit", "400") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 400
    assert json.loads(lines[0]) == CALL
    assert [query for _, query in recording_server.requests] == [{"limit": "200"}, {"limit": "200", "cursor": "c2"}]


async def test_no_calls(aiohttp_server: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    recording_server = RecordingServer(answers={"GET /v1/calls": (200, {"calls": [], "next": None})})
    assert await run(aiohttp_server, recording_server, "calls") == 0
    assert capsys.readouterr().out == "no calls\n"


@pytest.mark.parametrize("answer", ["<html>hello</html>", [1], {"calls": 5}, {"other": []}])
async def test_something_that_is_no_transcriber(
    aiohttp_server: Serve, answer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(aiohttp_server, RecordingServer(answers={"GET /v1/calls": (200, answer)}), "calls") == 1
    assert "is it a transcriber?" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["txt", "json", "vtt", "srt", "csv"])
async def test_show_prints_what_the_server_sends(
    aiohttp_server: Serve, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recording_server = RecordingServer(answers={"GET /v1/calls/CA1/transcript": (200, "line one\nline two")})
    assert await run(aiohttp_server, recording_server, "show", "CA1", "--format", form) == 0
    assert capsys.readouterr().out == "line one\nline two\n"
    assert recording_server.requests == [("GET /v1/calls/CA1/transcript", {"format": form})]


async def test_rm_goes_on_after_a_refusal(aiohttp_server: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    live = {"error": {"code": "call_is_live", "message": "the call is still running"}}
    recording_server = RecordingServer(
        answers={
            "DELETE /v1/calls/CA1": (200, ""),
            "DELETE /v1/calls/CA3": (409, live),
            "DELETE /v1/calls/CA4": (200, ""),
        }
    )
    assert await run(aiohttp_server, recording_server, "rm", "CA1", "CA2", "CA3", "CA4") == 1
    out, err = capsys.readouterr()
    assert out == "deleted CA1\ndeleted CA4\n"
    assert err == "transcriber: CA2: not there\ntranscriber: CA3: the call is still running\n"


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (
            401,
            {"error": {"message": "a key is needed"}},
            "a key is needed (give --api-key-file or set TRANSCRIBER_API_KEYS)",
        ),
        (400, {"error": {"message": "limit is odd"}}, "limit is odd"),
        (503, {"error": {"message": "Redis is away"}}, "answered 503: Redis is away"),
        (502, "bad gateway", "answered 502 Bad Gateway"),
        (404, "nothing", "answered 404 Not Found"),
    ],
)
async def test_refusals_in_the_servers_words(
    aiohttp_server: Serve, status: int, body: Any, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(aiohttp_server, RecordingServer(answers={"GET /v1/calls": (status, body)}), "calls") == 1
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["show", "rm"])
@pytest.mark.parametrize("call_sid", ["", ".", "..", "/", "\udcff", "CA1\udcff", "CA1\n", "\x1b[2J"])
async def test_what_no_call_can_be_named_is_said_in_one_line(
    aiohttp_server: Serve, capsys: pytest.CaptureFixture[str], command: str, call_sid: str
) -> None:
    recording_server = RecordingServer(answers={})
    assert await run(aiohttp_server, recording_server, command, call_sid) == 1
    assert "CALL_SID must begin with a letter or digit" in capsys.readouterr().err
    assert recording_server.requests == []
