"""replay as a program of its own against a recording server: what it prints, counts, and how it ends."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from tests.recording_server import RecordingServer, final
from tests.telephony.test_simulator import wav
from transcriber.telephony.twilio import signature

Serve = Callable[[Any], Awaitable[TestServer]]
SCRIPT = [
    final("hello there") | {"type": "partial"},
    final("hello there"),
    final("good mourning", track="outbound", start_ms=1000),
    {"type": "call.ended"},
]
TURNS = [
    {"track": "inbound", "start": 0, "end": 1, "text": "Hello there!"},
    {"track": "outbound", "start": 1, "end": 2, "text": "good morning"},
]


async def replay(server: TestServer, *argv: str, **environment: str) -> Process:
    """Start the command."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRANSCRIBER_")}
    command = [sys.executable, "-m", "transcriber", "replay", "--url", str(server.make_url("/")), *argv]
    return await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=clean | environment)


async def output(process: Process) -> tuple[str, str]:
    """What the command wrote until its end."""
    out, err = await asyncio.wait_for(process.communicate(), 30)
    return out.decode(), err.decode()


def recording(folder: Path, *, seconds: float = 0.2, turns: list[dict[str, Any]] | None = None) -> str:
    path = folder / "call.wav"
    path.write_bytes(wav(7, 8, b"\xff" * round(seconds * 16_000), channels=2))
    if turns is not None:
        path.with_suffix(".json").write_text(json.dumps({"turns": turns}))
    return str(path)


async def test_finals_as_lines_and_the_error_rate(aiohttp_server: Serve, tmp_path: Path) -> None:
    recording_server = RecordingServer(events=SCRIPT)
    server = await aiohttp_server(recording_server.app())
    process = await replay(server, recording(tmp_path, turns=TURNS), "--speed", "0", "--param", "tenant=a=b")
    assert await output(process) == (
        "00:00  caller   hello there\n"
        "00:01  agent    good mourning\n"
        "word error rate against the reference: 25.0 % (1 of 4 words)\n"
        "  inbound   0.0 % (0 of 2 words)\n"
        "  outbound  50.0 % (1 of 2 words)\n",
        "",
    )
    assert process.returncode == 0
    assert recording_server.of_kind("start")[0]["start"]["customParameters"] == {"tenant": "a=b"}


async def test_every_event_as_json(aiohttp_server: Serve, tmp_path: Path) -> None:
    server = await aiohttp_server(RecordingServer(events=SCRIPT).app())
    process = await replay(server, recording(tmp_path, turns=TURNS), "--speed", "0", "--json")
    out, err = await output(process)
    assert [json.loads(line) for line in out.splitlines()] == SCRIPT
    assert err.startswith("word error rate")


async def test_words_that_the_terminal_cannot_show(aiohttp_server: Serve, tmp_path: Path) -> None:
    server = await aiohttp_server(RecordingServer(events=[final("안녕"), SCRIPT[-1]]).app())
    process = await replay(server, recording(tmp_path), "--speed", "0", PYTHONIOENCODING="ascii")
    assert await output(process) == ("00:00  caller   \\uc548\\ub155\n", "")


async def test_many_calls_at_once(aiohttp_server: Serve, tmp_path: Path) -> None:
    recording_server = RecordingServer(events=SCRIPT)
    server = await aiohttp_server(recording_server.app())
    process = await replay(server, recording(tmp_path, turns=TURNS), "--speed", "0", "--calls", "3")
    out, _ = await output(process)
    assert out.count("CA1  00:00  caller   hello there\n") == 3
    assert "(3 of 12 words)" in out
    assert len({start["start"]["callSid"] for start in recording_server.of_kind("start")}) == 3


@pytest.mark.parametrize("ours", [True, False])
async def test_calls_are_signed_as_twilio_would_and_the_key_is_for_ones_own_server(
    aiohttp_server: Serve, tmp_path: Path, *, ours: bool
) -> None:
    recording_server = RecordingServer(events=SCRIPT)
    server = await aiohttp_server(recording_server.app())
    process = await replay(
        server,
        recording(tmp_path),
        "--speed=0",
        TRANSCRIBER_PORT=str(server.port if ours else 1),
        TRANSCRIBER_TWILIO_AUTH_TOKEN="12345",
        TRANSCRIBER_PUBLIC_URL="https://media.example.net",
        TRANSCRIBER_API_KEYS="k1,k2",
    )
    await output(process)
    headers = {name.lower(): value for name, value in recording_server.headers[0].items()}
    dialled = "wss://media.example.net" if ours else f"ws://{server.host}:{server.port}"
    assert headers["x-twilio-signature"] == signature.compute("12345", f"{dialled}/v1/media")
    assert headers.get("authorization") == ("Bearer k1" if ours else None)


async def test_a_refused_call_is_one_line(aiohttp_server: Serve, tmp_path: Path) -> None:
    refusal = (503, {"error": {"code": "full", "message": "all lines are busy"}})
    server = await aiohttp_server(RecordingServer(refuse_with=refusal).app())
    process = await replay(server, recording(tmp_path))
    out, err = await output(process)
    assert (process.returncode, out, err.count("\n")) == (1, "", 1)
    assert err.endswith("refused the call: 503 all lines are busy\n")
    process = await replay(server, recording(tmp_path), "--calls", "2")
    _, err = await output(process)
    assert "2 of 2 calls failed; the first: " in err


async def test_the_first_interrupt_hangs_up_and_prints_what_comes(aiohttp_server: Serve, tmp_path: Path) -> None:
    recording_server = RecordingServer(events=SCRIPT)
    server = await aiohttp_server(recording_server.app())
    process = await replay(server, recording(tmp_path, seconds=60, turns=TURNS))
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 20) == b"00:00  caller   hello there\n"
    process.send_signal(signal.SIGINT)
    out, err = await output(process)
    assert (process.returncode, out, err) == (130, "00:01  agent    good mourning\n", "")
    assert len(recording_server.of_kind("stop")) == 1


async def test_the_second_interrupt_leaves_at_once(aiohttp_server: Serve, tmp_path: Path) -> None:
    recording_server = RecordingServer(events=SCRIPT[:2])
    server = await aiohttp_server(recording_server.app())
    process = await replay(server, recording(tmp_path, seconds=60))
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 20) == b"00:00  caller   hello there\n"
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(recording_server.ended.wait(), 10)
    process.send_signal(signal.SIGINT)
    assert await output(process) == ("", "")
    assert process.returncode == 130


async def test_a_terminal_sees_captions_redrawn_in_place(aiohttp_server: Serve, tmp_path: Path) -> None:
    server = await aiohttp_server(RecordingServer(events=SCRIPT).app())
    ours, theirs = os.openpty()
    env = os.environ | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    command = [sys.executable, "-m", "transcriber", "replay", "--url", str(server.make_url("/")), recording(tmp_path)]
    process = await asyncio.create_subprocess_exec(*command, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    shown = await asyncio.wait_for(asyncio.to_thread(drained, ours), 30)
    assert await process.wait() == 0
    assert "00:00 / 00:00  Ctrl-C hangs up" in shown
    assert "\x1b[36mhello there\x1b[0m\r\n" in shown
    assert shown.endswith("\x1b[?25h\r\x1b[1A\x1b[2K")


def drained(terminal: int) -> str:
    """What the program at the other end of the pseudo-terminal wrote until it left."""
    found = b""
    with contextlib.suppress(OSError):  # Linux's way to say that the other end is closed
        while chunk := os.read(terminal, 65_536):
            found += chunk
    os.close(terminal)
    return found.decode()
