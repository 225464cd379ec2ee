"""A short run of the fuzzer: the core alone, and a whole server in a process of its own."""

import asyncio
import json
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.hostile import fuzz
from tests.hostile.messages import Malice
from tests.phone import Phone
from tests.process import program, wait_until_ready
from transcriber.telephony.twilio import messages

pytestmark = [pytest.mark.hostile, pytest.mark.timeout(200)]
CORE_MESSAGES, SOCKET_MESSAGES = 50_000, 7_000
SLACK_MB = 8


def test_the_core_takes_anything_and_keeps_nothing() -> None:
    fuzz.core(5000, seed=1)
    before = fuzz.rss_mb()
    seen, _ = fuzz.core(CORE_MESSAGES, seed=2)
    assert (
        min(seen[kind] for kind in ("Start", "AudioChunk", "AudioGap", "DtmfReceived", "StreamFault", "StreamRefused"))
        > 100
    )
    assert fuzz.rss_mb() < before + SLACK_MB


def test_messages_parsed_in_one_pass_mean_what_the_lenient_parser_makes_of_them() -> None:
    malice = Malice(4)
    for _ in range(200):
        for text in malice.stream(100):
            assert messages.parse_message(text) == messages.parse_leniently(text), text[:500]


async def test_a_server_takes_anything_keeps_nothing_and_serves_the_next(tmp_path: Path) -> None:
    async with scripted_server(tmp_path) as child:
        url = await wait_until_ready(child)
        codes = await fuzz.over_sockets(url, SOCKET_MESSAGES, seed=3, note=lambda _: None)
        before = fuzz.rss_mb(child.pid)
        codes += await fuzz.over_sockets(url, SOCKET_MESSAGES, seed=5, note=lambda _: None)
        assert {1000, 1007, 1008} <= set(codes)
        assert fuzz.rss_mb(child.pid) < before + SLACK_MB
        async with Phone(url).call() as call:
            await call.play(3000)
            assert await call.hang_up() == 1000
        child.terminate()
        assert child.stdout is not None
        said = (await asyncio.wait_for(child.stdout.read(), 60)).decode()
    assert "Traceback" not in said


def scripted_server(data_dir: Path) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """Everything but recognition, whose memory moves by itself, in a process of its own."""
    flags = ("--port", "0", "--data-dir", str(data_dir), "--max-tracks", "1000")
    return program(sys.executable, "-m", "bench.scripted_server", *flags)


def test_the_same_seed_gives_the_same_messages() -> None:
    first, second = (list(Malice(7).stream(300)) for _ in range(2))
    assert json.dumps(first) == json.dumps(second)
