"""Alive, ready, and the numbers."""

from collections.abc import Mapping

import pytest

from tests.web.conftest import Registry, WebClient
from transcriber import __version__
from transcriber.web.services import Services


async def redis_is_away() -> Mapping[str, str]:
    return {"redis": "no answer"}


async def test_alive(web_client: WebClient) -> None:
    client = await web_client()
    answer = await client.get("/healthz")
    assert (answer.status, await answer.json()) == (200, {"status": "alive"})
    assert (await client.head("/healthz")).status == 200


async def test_ready(web_client: WebClient, registry: Registry) -> None:
    registry.live_tracks = 4
    answer = await (await web_client()).get("/readyz")
    assert (answer.status, await answer.json()) == (200, {"status": "ready", "live_tracks": 4})


@pytest.mark.parametrize("state", ["draining", "full"])
async def test_not_ready_without_room(web_client: WebClient, registry: Registry, state: str) -> None:
    setattr(registry, state, True)
    answer = await (await web_client()).get("/readyz")
    assert answer.status == 503
    assert list((await answer.json())["problems"]) == [state]


async def test_not_ready_without_its_parts(web_client: WebClient) -> None:
    answer = await (await web_client({"readiness": redis_is_away})).get("/readyz")
    body = await answer.json()
    assert answer.status == 503
    assert body["status"] == "not_ready"
    assert body["problems"] == {"redis": "no answer"}
    assert body["error"] == {"code": "not_ready", "message": "redis: no answer"}


async def test_degraded_is_ready(web_client: WebClient) -> None:
    answer = await (await web_client({"limping": redis_is_away})).get("/readyz")
    assert answer.status == 200
    assert await answer.json() == {"status": "degraded", "problems": {"redis": "no answer"}, "live_tracks": 0}


async def test_metrics(web_client: WebClient, services: Services) -> None:
    client = await web_client()
    services.metrics.tracks_live.set(4)
    await client.get("/v1/calls/CA9")
    await client.get("/v1/calls/CA8")
    await client.request("PURGE", "/no/such/page")
    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    text = await answer.text()
    for line in (
        "transcriber_tracks_live 4.0",
        'transcriber_http_requests_total{method="GET",route="/v1/calls/{call_sid}",status="404"} 2.0',
        'transcriber_http_requests_total{method="other",route="unmatched",status="404"} 1.0',
        "transcriber_frames_lost_total 0.0",
    ):
        assert line in text.splitlines()
    assert f'version="{__version__}"' in text
    assert "process_resident_memory_bytes" in text
    assert "python_info" in text
