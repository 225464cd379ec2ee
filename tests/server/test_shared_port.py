"""Several servers of one machine share a port: calls spread, each is transcribed once, and one may leave."""

import asyncio
import secrets
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.models import ProcessOf
from tests.server.conftest import Running, Serve
from transcriber.errors import ConfigError
from transcriber.recognition.worker.protocol import ScriptedModel
from transcriber.server.server import running
from transcriber.server.tuning import Tuning
from transcriber.settings.definition import Settings
from transcriber.settings.safety import require_safe
from transcriber.store.ports import StatusCallback

CALLS = 24


async def call(server: Running, call_sids: list[str]) -> None:
    async with server.phone.call() as made:
        call_sids.append(made.call_sid)
        await made.play(1000)
        await made.hang_up()


async def test_calls_spread_over_the_servers_and_each_is_kept_once(serve: Serve, tmp_path: Path) -> None:
    common = {"reuse_port": True, "redis_prefix": f"test{secrets.token_hex(4)}"}
    first = await serve(**common, data_dir=tmp_path / "one")
    port = int(first.server.url.rpartition(":")[2])
    second = await serve(**common, data_dir=tmp_path / "two", port=port)
    assert first.server.url == second.server.url
    call_sids: list[str] = []
    await asyncio.gather(*(call(first, call_sids) for _ in range(CALLS)))
    for call_sid in call_sids:
        kinds = [event["type"] for event in await second.ended(call_sid)]
        assert kinds.count("call.started") == kinds.count("call.ended") == 1
        assert kinds.count("final") == 2
    took = [server.server.services.metrics.streams.labels("stop")._value.get() for server in (first, second)]
    assert sum(took) == CALLS
    assert min(took) > 0


async def test_one_that_leaves_lets_its_calls_end_and_the_other_take_new_ones(
    serve: Serve, redis_url: str, process_of: ProcessOf, tmp_path: Path
) -> None:
    prefix = f"test{secrets.token_hex(4)}"
    staying = await serve(reuse_port=True, redis_prefix=prefix)
    port = int(staying.server.url.rpartition(":")[2])
    settings = Settings(
        reuse_port=True, port=port, redis_url=redis_url, redis_prefix=prefix, data_dir=tmp_path / "leaving", drain_s=20
    )
    async with AsyncExitStack() as stack:
        leaving = await stack.enter_async_context(_Leaving(settings, process_of))
        calls = [await stack.enter_async_context(staying.phone.call()) for _ in range(CALLS)]
        for one in calls:
            await one.play(500)
        held = leaving.live
        assert 0 < held < CALLS
        ending = asyncio.create_task(leaving.leave())
        more: list[str] = []
        await asyncio.gather(*(call(staying, more) for _ in range(CALLS)))
        assert leaving.live == held
        for one in calls:
            await one.play(500)
            await one.hang_up()
        await ending
    for call_sid in [one.call_sid for one in calls] + more:
        assert (await staying.ended(call_sid))[-1]["reason"] == "stop"


class _Leaving:
    """A server that ends when it is told to."""

    def __init__(self, settings: Settings, process_of: ProcessOf) -> None:
        self._context = running(settings, model_process=process_of(ScriptedModel()))
        self._has_left = False

    async def __aenter__(self) -> "_Leaving":
        self._server = await self._context.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    @property
    def live(self) -> int:
        return self._server.sessions.live_streams

    async def leave(self) -> None:
        if not self._has_left:
            self._has_left = True
            await self._context.__aexit__(None, None, None)


async def test_a_port_of_somebody_else_is_still_an_error(serve: Serve, process_of: ProcessOf, tmp_path: Path) -> None:
    other = await serve()
    port = int(other.server.url.rpartition(":")[2])
    with pytest.raises(ConfigError, match="cannot listen"):
        await serve(reuse_port=True, port=port, data_dir=tmp_path / "other")


def test_a_shared_port_wants_a_redis_that_is_shared() -> None:
    with pytest.raises(ConfigError, match="REDIS_URL"):
        require_safe(Settings(reuse_port=True))


@pytest.mark.parametrize("event", ["stream-stopped", "stream-error"])
async def test_a_status_callback_that_reaches_another_server_is_passed_on(
    serve: Serve, tmp_path: Path, event: str
) -> None:
    prefix = f"test{secrets.token_hex(4)}"
    tuning = Tuning(callback_grace_s=0.2)
    having = await serve(redis_prefix=prefix, inactivity_s=1000, tuning=tuning)
    other = await serve(redis_prefix=prefix, data_dir=tmp_path / "other", tuning=tuning)
    async with having.phone.call() as made, aiohttp.ClientSession() as session:
        await made.play(500)
        form = {"StreamSid": made.stream_sid, "StreamEvent": event, "StreamError": "31941"}
        url = f"{other.server.url}/v1/stream-status"
        async with asyncio.timeout(20):
            while made.close_code is None:  # it may not listen yet
                async with session.post(url, data=form) as answer:
                    assert answer.status == 204
                await asyncio.sleep(0.1)
        assert made.close_code == 1000
        events = await having.ended(made.call_sid)
    assert events[-1]["reason"] == "callback"
    errors = [(one["code"], one["message"]) for one in events if one["type"] == "stream.error"]
    assert errors == ([("twilio_error", "31941")] if event == "stream-error" else [])


async def test_what_is_no_status_callback_is_logged(
    serve: Serve, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    having = await serve(tuning=Tuning(callback_grace_s=0.2))
    store = having.server.store
    async with having.phone.call() as made, asyncio.timeout(20):
        await made.play(500)
        while made.close_code is None:
            await store.client.publish(store.keys.status_callbacks, "junk")
            await store.status_callbacks.pass_on(StatusCallback(made.stream_sid))
            await asyncio.sleep(0.1)
    assert "no status callback on" in caplog.text
