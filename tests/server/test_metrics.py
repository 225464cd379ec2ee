"""What the figures tell, and to whom: no call is named, and they may have a listener of their own."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator

import aiohttp
import pytest

from bench.own_redis import OwnRedis, own_redis
from tests.process import process, wait_for_line, wait_until_ready
from tests.sample_events import until
from tests.server.conftest import Serve
from tests.server.test_clock import caller_speech
from tests.server.troubled import metric
from transcriber.audio.wav import Recording
from transcriber.errors import ConfigError
from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.settings.definition import load_settings
from transcriber.settings.safety import require_safe
from transcriber.telephony.simulator import CallIds


@pytest.fixture
async def redis() -> AsyncIterator[OwnRedis]:
    """A redis-server of this test's own."""
    async with own_redis() as server:
        yield server


async def text_of(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_no_call_and_no_stream_is_named(serve: Serve) -> None:
    running = await serve()
    async with running.phone.call() as call, running.phone.call() as other:
        await running.live(2)
        await call.play(1000)
        await other.play(1000)
        async with asyncio.timeout(20):
            while "transcriber_streams_live 2.0" not in (await text_of(running.server.url + "/metrics"))[1]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for path in ("/metrics", "/readyz"):
            _, text = await text_of(running.server.url + path)
            for sid in (call.call_sid, call.stream_sid, other.call_sid, other.stream_sid):
                assert sid not in text
        _, text = await text_of(running.server.url + "/metrics")
        lags = re.findall(r"^transcriber_track_lag_seconds(.*) (\S+)$", text, re.MULTILINE)
        assert [labels for labels, _ in lags] == ['{track="inbound"}', '{track="outbound"}']
        for each in (call, other):
            assert await each.hang_up() == 1000
    await running.live(0)
    _, text = await text_of(running.server.url + "/metrics")
    assert 'transcriber_track_lag_seconds{track="inbound"} 0.0' in text


async def test_series_do_not_grow_with_calls(serve: Serve) -> None:
    """Each label has a few values, whoever calls: what Prometheus keeps does not depend on the traffic."""
    running = await serve()

    async def series() -> set[str]:
        """After a call of two tracks, a history that was read, and one that is not there."""
        async with running.phone.call(parameters={"customer": secrets.token_hex(8)}) as call:
            await call.play(2000)
            assert await call.hang_up() == 1000
        await running.ended(call.call_sid)
        await running.live(0)
        for sid in (call.call_sid, CallIds().call):
            await text_of(f"{running.server.url}/v1/calls/{sid}/transcript")
        _, text = await text_of(running.server.url + "/metrics")
        assert not re.search(r"(?:CA|MZ|AC)[0-9a-f]{8}", text)
        return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}

    await series()
    first = await series()  # by now /metrics has been asked
    for _ in range(3):
        assert await series() == first


async def test_a_server_says_that_it_drains(serve: Serve) -> None:
    running = await serve()
    url = running.server.url + "/metrics"
    async with running.phone.call() as call:
        await running.live(1)
        assert "transcriber_draining 0.0" in (await text_of(url))[1].splitlines()
        draining = asyncio.create_task(running.server.sessions.drain(60))
        async with asyncio.timeout(20):
            while "transcriber_draining 1.0" not in (await text_of(url))[1].splitlines():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert await call.hang_up() == 1000
        await draining


async def test_how_late_finals_and_writes_are_is_counted(
    redis: OwnRedis, serve: Serve, demo_model: ModelProcess
) -> None:
    """A final that Redis held up is as late as its reader had it."""
    speech = Recording({"inbound": caller_speech()})
    running = await serve(model=demo_model, redis_url=redis.url)

    async def waits() -> bool:
        return await metric(running, "transcriber_outbox_events ") > 0

    async with running.phone.call(speech, parameters={"partials": "false"}) as call:
        await running.known(call.call_sid)
        redis.stall()
        await call.play()
        assert await call.hang_up() == 1000
        await until(waits)
        await asyncio.sleep(1.2)
        redis.wake()
        events = await running.ended(call.call_sid)
    finals = [event for event in events if event["type"] == "final"]
    assert await metric(running, "transcriber_final_delay_seconds_count") == len(finals) > 0
    assert await metric(running, "transcriber_final_delay_seconds_sum") > 0
    writes = await metric(running, "transcriber_write_seconds_count")
    assert writes == len(events) - 2, "a stream's start and its end are one write each, of two events"
    assert await metric(running, 'transcriber_write_seconds_bucket{le="1.0"}') < writes


async def test_the_figures_may_have_a_listener_of_their_own(tmp_path: object) -> None:
    async with process("--data-dir", str(tmp_path), "--metrics-address", "127.0.0.1:0") as child:
        own = (await wait_for_line(child, b"metrics: on ")).split(b"metrics: on ")[1].decode().strip()
        url = await wait_until_ready(child)
        status, text = await text_of(own)
        assert status == 200
        assert "transcriber_calls_live 0.0" in text
        assert (await text_of(f"{url}/metrics"))[0] == 404
        assert (await text_of(f"{url}/readyz"))[0] == 200
        for path in ("/", "/v1/calls", "/readyz"):
            assert (await text_of(own.removesuffix("/metrics") + path))[0] == 404


@pytest.mark.parametrize(
    "address", ["9464", "127.0.0.1", "a:b", "http://h:1", "h:99999", "u@h:1", "h:1/x", "[::1", "h:abc"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"metrics_address .*must be HOST:PORT"):
        load_settings(environ={"TRANSCRIBER_METRICS_ADDRESS": address})


def test_the_servers_own_address_is_none_for_the_metrics() -> None:
    settings = load_settings(environ={"TRANSCRIBER_METRICS_ADDRESS": "127.0.0.1:8080"}).settings
    with pytest.raises(ConfigError, match="TRANSCRIBER_METRICS_ADDRESS is the address of the server itself"):
        require_safe(settings)
