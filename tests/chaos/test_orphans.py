"""The server is killed with -9: none of its processes is left two seconds later, whatever they were doing."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from bench.process_tree import descendants, is_alive, model_process, workers
from tests.phone import Phone
from tests.process import process, wait_until_ready
from tests.sample_events import until

pytestmark = [pytest.mark.chaos]
GONE_WITHIN_S = 2.0


def nothing(server: int) -> None:
    """They wait."""


def stop_a_worker(server: int) -> None:
    psutil.Process(workers(server)[0]).suspend()


def stop_all_workers(server: int) -> None:
    for pid in workers(server):
        psutil.Process(pid).suspend()


def stop_the_model_process(server: int) -> None:
    psutil.Process(model_process(server)).suspend()


def kill_the_model_process(server: int) -> None:
    psutil.Process(model_process(server)).kill()


async def none_is_left(server: int) -> None:
    """Kill it, and wait for its processes."""
    below = [*descendants(server)]
    assert len(below) >= 2
    psutil.Process(server).kill()
    end_at = time.monotonic() + GONE_WITHIN_S
    try:
        while left := [pid for pid in below if is_alive(pid)]:
            assert time.monotonic() < end_at, [psutil.Process(pid).cmdline() for pid in left]
            await asyncio.sleep(0.01)
    finally:
        for pid in below:
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()


@pytest.mark.parametrize(
    "trouble", [nothing, stop_a_worker, stop_all_workers, stop_the_model_process, kill_the_model_process]
)
@pytest.mark.parametrize("decoding", [False, True])
async def test_none_is_left_of_a_server_that_was_ready(
    tmp_path: Path, trouble: Callable[[int], None], decoding: bool
) -> None:
    async with process("--data-dir", str(tmp_path)) as server:
        url = await wait_until_ready(server)
        async with Phone(url).call("01_order_status") as call:
            if decoding:
                await call.play()
            trouble(server.pid)
            await none_is_left(server.pid)


async def test_none_is_left_of_a_server_that_was_loading_its_model(tmp_path: Path) -> None:
    async with process("--data-dir", str(tmp_path)) as server:

        async def loads() -> bool:
            with suppress(LookupError):
                return model_process(server.pid) > 0
            return False

        await until(loads, within_s=30)
        assert not workers(server.pid)
        await none_is_left(server.pid)
