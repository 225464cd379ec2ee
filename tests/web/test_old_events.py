"""The history of a call that another version wrote, on the real store: it still reads, everywhere."""

import json
from typing import Any

import pytest

from tests.web.conftest import WebClient
from tests.web.test_call_events import reading
from transcriber.store.redis_store import RedisStore

OLD = [
    {"type": "call.started", "seq": 1, "call_sid": "CAold"},
    {"v": 0, "type": "call.ringing", "seq": 2, "call_sid": "CAold", "tone": [1, 2]},
    {"type": "final", "seq": 3, "call_sid": "CAold", "track": "inbound", "text": "bare", "start_ms": 100},
    {"v": 0, "type": "final", "seq": 4, "call_sid": "CAold", "text": "timeless", "words": "none", "mood": {"x": None}},
    {"v": 99, "type": "final", "seq": 5, "call_sid": "CAold", "track": "third", "text": "new", "start_ms": 900.5},
    {"type": "call.ended", "seq": 6, "call_sid": "CAold"},
]
STARTED_MS = 1_795_411_200_123
HASH: dict[Any, Any] = {"status": "ended", "started_at_ms": STARTED_MS, "seq": 6, "some": "field", "speaker:x": "?"}


@pytest.fixture
async def old_call(store: RedisStore) -> None:
    for event in OLD:
        await store.client.xadd(store.keys.events("CAold"), {"event": json.dumps(event)}, id=f"{event['seq']}-0")
    await store.client.hset(store.keys.call("CAold"), mapping=HASH)
    await store.client.zadd(store.keys.calls, {"CAold": STARTED_MS})


@pytest.mark.usefixtures("old_call")
@pytest.mark.parametrize("name", ["json", "txt", "vtt", "srt", "csv"])
async def test_its_transcript(web_client: WebClient, name: str) -> None:
    answer = await (await web_client()).get("/v1/calls/CAold/transcript", params={"format": name})
    text = await answer.text()
    assert answer.status == 200
    assert all(word in text for word in ("bare", "timeless", "new"))


@pytest.mark.usefixtures("old_call")
async def test_its_summary_and_its_place_in_the_list(web_client: WebClient) -> None:
    client = await web_client()
    summary: dict[str, Any] = await (await client.get("/v1/calls/CAold")).json()
    assert (summary["status"], summary["last_seq"], summary["ended_at"], summary["finals"]) == ("ended", 6, None, 0)
    assert [call["call_sid"] for call in (await (await client.get("/v1/calls")).json())["calls"]] == ["CAold"]


@pytest.mark.usefixtures("old_call")
async def test_its_events(web_client: WebClient) -> None:
    sent = await (await reading(await web_client(), "/v1/calls/CAold/events", Last_Event_ID="1")).rest()
    assert [each.data for each in sent] == OLD[1:]
    assert [(each.number, each.kind) for each in sent][:2] == [(2, "call.ringing"), (3, "final")]


@pytest.mark.usefixtures("old_call")
async def test_it_is_deleted(web_client: WebClient, store: RedisStore) -> None:
    assert (await (await web_client()).delete("/v1/calls/CAold")).status == 204
    assert not await store.client.exists(store.keys.events("CAold"), store.keys.call("CAold"))
