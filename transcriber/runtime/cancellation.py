"""Ends tasks: a cancellation may get lost, so it is repeated until the task is done."""

import asyncio
from typing import Any

RETRY_S = 1.0
"""`asyncio.wait_for` of Python 3.11, inside redis-py's commands, can swallow a cancellation."""


async def cancel(*tasks: "asyncio.Task[Any]") -> None:
    """Return when all of them are done, whatever became of them; what they raised is not raised here."""
    while unfinished := [task for task in tasks if not task.done()]:
        for task in unfinished:
            task.cancel()
        await asyncio.wait(unfinished, timeout=RETRY_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not log that nobody did
