"""Tasks beside a server: they end with it, and one that fails before is logged."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from transcriber.runtime.cancellation import cancel

log = logging.getLogger(__name__)


def run_in_background(stack: AsyncExitStack, work: Coroutine[Any, Any, None], *, name: str) -> None:
    """Begin work that has no end of its own; it is cancelled with the stack."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_report)
    stack.push_async_callback(cancel, task)


def _report(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("%s broke and is not done any more until the next start", task.get_name(), exc_info=error)
