"""Alive, ready, and the numbers."""

from collections.abc import Mapping

import pytest

from tests.web.conftest import StubSessions, WebClient
from transcriber import __version__
from transcriber.web.services import Services


async def redis_is_away() -> Mapping[str, str]:
    return {"redis": "away: Error 2 connecting to /secret/redis.sock"}


async def redis_is_odd() -> Mapping[str, str]:
    return {"redis": "Error 2 connecting to unix:///secret/redis.sock"}


async def test_alive(web_client: WebClient) -> None:
    client = await web_client()
    answer = await client.get("/healthz")
    assert (answer.status, await answer.json()) == (200, {"status": "alive"})
    assert (await client.head("/healthz")).status == 200


async def test_ready(web_client: WebClient, sessions: StubSessions) -> None:
    sessions.admission.live_tracks = 4
    answer = await (await web_client()).get("/readyz")
    assert (answer.status, await answer.json()) == (200, {"status": "ready", "live_tracks": 4})


@pytest.mark.parametrize("state", ["draining", "full"])
async def test_not_ready_without_room(web_client: WebClient, sessions: StubSessions, state: str) -> None:
    setattr(sessions.admission, state, True)
    answer = await (await web_client()).get("/readyz")
    assert answer.status == 503
    assert list((await answer.json())["problems"]) == [state]


async def test_not_ready_without_its_parts(web_client: WebClient) -> None:
    answer = await (await web_client({"readiness": redis_is_away})).get("/readyz")
    body = await answer.json()
    assert answer.status == 503
    assert body["status"] == "not_ready"
    assert body["problems"] == {"redis": "away"}
    assert body["error"] == {"code": "not_ready", "message": "redis: away"}


async def test_degraded_is_ready(web_client: WebClient) -> None:
    answer = await (await web_client({"degradations": redis_is_away})).get("/readyz")
    assert answer.status == 200
    assert await answer.json() == {"status": "degraded", "problems": {"redis": "away"}, "live_tracks": 0}


@pytest.mark.parametrize(("told", "word"), [(redis_is_away, "away"), (redis_is_odd, "failing")])
@pytest.mark.parametrize("part", ["readiness", "degradations"])
async def test_strangers_are_told_one_word_and_the_log_the_rest(
    web_client: WebClient, caplog: pytest.LogCaptureFixture, told: object, word: str, part: str
) -> None:
    client = await web_client({part: told})
    text = await (await client.get("/readyz")).text()
    assert word in text
    assert "secret" not in text
    assert "/secret/redis.sock" in caplog.text


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
