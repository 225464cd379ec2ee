"""Many calls on the bundled model: memory, threads and descriptors stay where they are."""

import asyncio
import os
import threading

import psutil
import pytest

from tests.server.conftest import Serve
from transcriber.engine.vosk import VoskEngine

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]
MB = 1024 * 1024


async def test_a_thousand_calls_leave_no_growth(serve: Serve, demo_model: VoskEngine) -> None:
    running = await serve(engine=demo_model, max_tracks=1000)
    process = psutil.Process()

    async def one() -> None:
        async with running.phone.call() as call:
            await call.play(2500)
            await call.hang_up()

    async def calls(count: int) -> None:
        for _ in range(count // 10):
            await asyncio.gather(*(one() for _ in range(10)))
            await running.live(0)

    await calls(300)
    before = process.memory_info().rss
    files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    await calls(700)
    grown = process.memory_info().rss - before
    assert grown < 12 * MB, f"{grown / MB:.1f} MB over 700 calls"
    assert len(os.listdir("/proc/self/fd")) <= files + 2
    assert threading.active_count() <= threads
