"""DELETE through the front door: the words are gone from history and from the disk, and do not come back."""

import asyncio
import secrets
import tempfile
from pathlib import Path

import aiohttp

from tests.models import ProcessOf
from tests.sample_events import until
from tests.server.conftest import Running, Serve, serving
from transcriber.server.tuning import Tuning
from transcriber.store.leases import Lease
from transcriber.telephony.simulator import CallIds


async def delete(running: Running, call_sid: str) -> int:
    url = f"{running.server.url}/v1/calls/{call_sid}"
    async with aiohttp.ClientSession() as session, session.delete(url) as answer:
        return answer.status


def holding(directory: Path, words: bytes) -> list[str]:
    return [path.name for path in directory.rglob("*") if path.is_file() and words in path.read_bytes()]


async def test_a_deleted_calls_words_leave_the_disk(process_of: ProcessOf) -> None:
    with tempfile.TemporaryDirectory(prefix="data-") as name:  # a short path: sockets have little room
        data_dir = Path(name)
        async with serving("", data_dir, process_of) as serve:
            running = await serve(tuning=Tuning(erase_quiet_s=0.1))
            async with running.phone.call() as call:
                await call.play(4000)
                await call.hang_up()
            events = await running.ended(call.call_sid)
            [text, *_] = [event["text"] for event in events if event["type"] == "final"]
            assert holding(data_dir, text.encode()) != []
            assert await delete(running, call.call_sid) == 204
            await until(lambda: asyncio.sleep(0, holding(data_dir, text.encode()) == []))
            assert await delete(running, call.call_sid) == 404


async def test_a_stream_that_outlives_its_deleted_call_is_closed_with_1008(serve: Serve, tmp_path: Path) -> None:
    """It was taken for dead, so that its call could be deleted."""
    prefix = f"test{secrets.token_hex(4)}"
    one, other = [await serve(redis_prefix=prefix, data_dir=tmp_path / name) for name in ("one", "other")]
    ids = CallIds()
    async with one.phone.call(ids=ids) as call:
        await call.play(3000)
        await one.known(ids.call)
        assert await delete(other, ids.call) == 409
        store = other.server.store
        lease = Lease(one.server.store.owner, ids.call, ids.stream)

        async def erased() -> bool:
            """As long as the stream has something to say, it resumes its call."""
            await store.event_log.interrupt(lease, at="2026-11-23T05:20:05.123Z")
            return await delete(other, ids.call) == 204

        await until(erased, within_s=20)
        assert await call.closed() == 1008
    await one.live(0)
    async with one.phone.call(ids=CallIds(call=ids.call)) as later:
        await later.play(3000)
        assert await later.hang_up() == 1000
    events = await one.ended(ids.call)
    assert {event["stream_sid"] for event in events if "stream_sid" in event} == {later.stream_sid}
    assert events[0]["seq"] > 1
