"""Nothing is left of a call: tasks, recognizers, buffers, sockets; and of a server neither."""

import asyncio
import gc
import os

from tests.server.conftest import Serve
from transcriber.calls.session import Session
from transcriber.outbox.stream_publisher import StreamPublisher
from transcriber.recognition.supervisor.track_queue import TrackQueue


def count(kind: type) -> int:
    gc.collect()
    return sum(1 for found in gc.get_objects() if isinstance(found, kind))


async def test_two_hundred_calls_leave_nothing(serve: Serve) -> None:
    running = await serve(max_tracks=1000)
    workers = running.server.recognition.service.models.default.workers

    async def one(number: int) -> None:
        async with running.phone.call() as call:
            await call.play(1500)
            if number % 3 == 0:
                await call.cut()
            elif number % 3 == 1:
                await call.hang_up(stop=False)
            else:
                await call.hang_up()

    async def twenty() -> None:
        await asyncio.gather(*(one(number) for number in range(20)))
        await running.live(0)
        await asyncio.sleep(0.05)

    await twenty()
    tasks, files = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        await twenty()
    assert sum(worker.tracks for worker in workers) == 0
    assert all(worker.lent == 0 and worker.idle <= 8 for worker in workers)
    async with asyncio.timeout(20):
        while count(Session) + count(StreamPublisher) + count(TrackQueue):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) <= tasks
    assert len(os.listdir("/proc/self/fd")) <= files + 2
    assert running.server.sessions.admission.live_tracks == 0
    assert running.server.sessions.backlog_s == 0
