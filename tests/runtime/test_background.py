"""What goes on beside a server is heard of when it breaks."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from transcriber.runtime.background import run_in_background


async def test_work_that_breaks_is_logged_and_does_not_keep_the_server_from_leaving(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken, left = asyncio.Event(), asyncio.Event()

    async def breaks() -> None:
        broken.set()
        raise ValueError("nobody thought of this")

    async def goes_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    async with AsyncExitStack() as stack:
        run_in_background(stack, breaks(), name="looking around")
        run_in_background(stack, goes_on(), name="going on")
        await asyncio.wait_for(broken.wait(), 5)
    assert left.is_set()
    assert [record.message for record in caplog.records] == [
        "looking around broke and is not done any more until the next start"
    ]
