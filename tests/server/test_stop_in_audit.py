"""SIGTERM while a server looks through thousands of live calls for lost leases: it ends, and quickly.

On Python 3.11 a cancellation that comes while redis-py waits may be swallowed (`runtime/cancellation.py`).
"""

import asyncio
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.process import program, wait_until_ready
from transcriber.store.redis_store import RedisStore

CALLS = 5000
ALWAYS_AUDITING = (
    "import sys; from transcriber.outbox.lease_monitor import LeaseMonitor; from transcriber.__main__ import main; "
    "LeaseMonitor.__init__.__kwdefaults__.update(audit_s=0.05, renew_s=0.05); sys.exit(main())"
)


async def live_calls_without_leases(store: RedisStore) -> None:
    pipeline = store.client.pipeline(transaction=False)
    for number in range(CALLS):
        sid = f"CA{number:032x}"
        pipeline.zadd(store.keys.live, {sid: time.time()})
        pipeline.hset(store.keys.call(sid), mapping={"live_streams": 1, f"live:MZ{number:032x}": "someone"})
    await pipeline.execute()


@pytest.mark.chaos
async def test_sigterm_in_the_audit_ends_the_server(store: RedisStore, redis_url: str, tmp_path: Path) -> None:
    await live_calls_without_leases(store)

    async def stopped(number: int) -> int:
        environment = {"TRANSCRIBER_REDIS_URL": redis_url, "TRANSCRIBER_REDIS_PREFIX": store.keys.prefix}
        serve = ("serve", "--port", "0", "--workers", "1", "--data-dir", str(tmp_path / str(number)))
        async with program(sys.executable, "-c", ALWAYS_AUDITING, *serve, environment=environment) as child:
            await wait_until_ready(child)
            while not await store.client.zcard(store.keys.leases):  # noqa: ASYNC110 - given by the first audit
                await asyncio.sleep(0.001)
            await asyncio.sleep(number * 0.05)
            child.send_signal(signal.SIGTERM)
            return await asyncio.wait_for(child.wait(), 25)

    assert await asyncio.gather(*map(stopped, range(3))) == [0, 0, 0]
