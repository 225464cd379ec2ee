"""A cancellation that gets lost is repeated."""

import asyncio

import pytest

from transcriber.runtime.cancellation import cancel


async def test_a_task_that_loses_cancellations_is_ended_all_the_same() -> None:
    lost = 0

    async def deaf() -> None:
        nonlocal lost
        while lost < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
        await asyncio.Event().wait()

    async def broken() -> None:
        raise RuntimeError("broken before")

    tasks = [asyncio.create_task(work()) for work in (deaf, broken)]
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await cancel(*tasks)
    assert lost == 2
    assert tasks[0].cancelled()
    with pytest.raises(RuntimeError):
        tasks[1].result()


async def test_who_ends_tasks_can_be_cancelled() -> None:
    async def deaf() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await stubborn.wait()

    stubborn = asyncio.Event()
    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    ending = asyncio.create_task(cancel(task))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    stubborn.set()
    await cancel(task)
    assert task.done()
