"""A model process that is closed while something is asked of it: what is asked fails at once, nothing is begun anew."""

import asyncio
from contextlib import suppress

import pytest

from transcriber.errors import ModelError
from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.recognition.worker.protocol import ScriptedModel


async def test_what_waits_for_its_turn_fails_when_the_process_is_closed() -> None:
    process = ModelProcess(ScriptedModel())
    await process.start()
    asked = [asyncio.create_task(process.fork_worker()) for _ in range(3)]
    await asyncio.sleep(0)
    await process.close()
    done, waiting = await asyncio.wait(asked, timeout=30)
    assert not waiting
    for task in done:
        with suppress(ModelError):
            connection, _ = task.result()
            connection.close()
    assert process.pid == 0
    with pytest.raises(ModelError):
        await process.fork_worker()
    assert process.pid == 0


async def test_loading_ends_when_the_process_is_closed() -> None:
    process = ModelProcess(ScriptedModel())
    loading = asyncio.create_task(process.start())
    async with asyncio.timeout(20):
        while process.pid == 0:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)
    await process.close()
    with pytest.raises(ModelError):
        await asyncio.wait_for(loading, 20)
    assert process.pid == 0
