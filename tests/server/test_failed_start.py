"""A server that does not start leaves no process behind."""

import pytest

from bench.own_redis import own_redis
from bench.process_tree import children, is_alive
from tests.models import ProcessOf
from tests.sample_events import until
from tests.server.conftest import Serve
from transcriber.errors import StoreError
from transcriber.recognition.worker.protocol import ScriptedModel


async def test_the_workers_of_a_server_that_finds_no_redis_end(serve: Serve, process_of: ProcessOf) -> None:
    model = process_of(ScriptedModel(script=("never started",)))
    await model.start()

    async def has_workers(expected: bool) -> bool:
        return any(is_alive(pid) for pid in children(model.pid)) == expected

    async with own_redis() as redis:
        redis.stall()
        with pytest.raises(StoreError):  # after its deadline of 2 s, when the workers have long been started
            await serve(model=model, redis_url=redis.url)
        await until(lambda: has_workers(False))
