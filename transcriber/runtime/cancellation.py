"""Ending tasks: a cancellation may get lost on its way, so it is repeated until the task is done."""

import asyncio
from typing import Any

AGAIN_S = 1.0
"""`asyncio.wait_for` of Python 3.11, inside redis-py's commands, loses one that comes in the wrong moment."""


async def cancel(*tasks: "asyncio.Task[Any]") -> None:
    """Return when all of them are done, whatever became of them; what they raised is not raised here."""
    while waiting := [task for task in tasks if not task.done()]:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting, timeout=AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not say that nobody did
