"""Alive, ready, and the numbers."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.web.conftest import StubSessions, WebClient
from transcriber import __version__
from transcriber.web.routes.health import CHECKS
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


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("", ["draining", "full"]),
        ("?exclude=", ["draining", "full"]),
        ("?exclude=room", ["draining"]),
        ("?exclude=full", ["draining"]),
        ("?exclude=draining&exclude=redis", ["full"]),
        ("?exclude=redis,%20outbox", ["draining", "full"]),
        ("?exclude=room,draining", []),
        ("?_=1", ["draining", "full"]),
    ],
)
async def test_checks_may_be_left_out(
    web_client: WebClient, sessions: StubSessions, query: str, left: list[str]
) -> None:
    sessions.admission.draining = sessions.admission.full = True
    answer = await (await web_client()).get(f"/readyz{query}")
    assert answer.status == (503 if left else 200)
    assert list((await answer.json()).get("problems", {})) == left


async def test_what_is_left_out_does_not_degrade_either(web_client: WebClient) -> None:
    client = await web_client({"degradations": redis_is_away})
    assert await (await client.get("/readyz?exclude=redis")).json() == {"status": "ready", "live_tracks": 0}


async def test_a_check_that_is_none_is_named(web_client: WebClient) -> None:
    answer = await (await web_client()).get("/readyz?exclude=room,rooom")
    error = (await answer.json())["error"]
    assert (answer.status, error["code"]) == (400, "bad_request")
    assert "no check rooom; there are calls, channels, draining, " in error["message"]


def test_every_check_stands_in_the_reference() -> None:
    text = (Path(__file__).parents[2] / "docs/pages/reference/errors.md").read_text()
    readiness = text.partition("\n## Readiness\n")[2]
    rows = re.findall(r"^\| (`[a-z`, ]+`) \|", readiness.partition("| word |")[0], re.MULTILINE)
    assert set(re.findall(r"`([a-z]+)`", " ".join(rows))) == CHECKS


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
