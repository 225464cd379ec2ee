"""The history over HTTP: pages, summaries, transcripts, deletion."""

import csv
import io
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import srt
import webvtt

from tests.web.conftest import WebClient
from tests.web.written_call import WrittenCall
from transcriber.errors import StoreError
from transcriber.store.ports import CallPage, CallQuery

NOW_S = int(time.time())


class FixedHistory:
    """A history with one call, whose events another version wrote."""

    def __init__(self, *events: str) -> None:
        self._events = events

    async def calls(self, query: CallQuery) -> CallPage:
        return CallPage([], None)

    async def call(self, call_sid: str) -> Mapping[str, Any]:
        return {"call_sid": call_sid}

    async def events(self, call_sid: str, *, after: int = 0) -> Sequence[str]:
        return self._events

    async def pages(self, call_sid: str, *, after: int = 0) -> AsyncIterator[Sequence[str]]:
        yield self._events

    async def delete(self, call_sid: str) -> None:
        raise StoreError("redis://user:secret@away")


async def pizza(begin_call: Any) -> WrittenCall:
    call: WrittenCall = await begin_call("CA1")
    await call.say("two large ones please", start_ms=4000)
    await call.say("how can I help", start_ms=1000, track="outbound")
    await call.end()
    return call


async def test_calls_come_newest_first_in_pages(web_client: WebClient, begin_call: Any) -> None:
    for number in range(3):
        await begin_call(f"CA{number}", at_ms=NOW_S * 1000 + number)
    client = await web_client()
    first = await (await client.get("/v1/calls", params={"limit": 2})).json()
    assert [call["call_sid"] for call in first["calls"]] == ["CA2", "CA1"]
    second = await (await client.get("/v1/calls", params={"limit": 2, "cursor": first["next"]})).json()
    assert [call["call_sid"] for call in second["calls"]] == ["CA0"]
    assert second["next"] is None


async def test_calls_are_filtered(web_client: WebClient, begin_call: Any) -> None:
    await begin_call("CA1", at_ms=(NOW_S - 100) * 1000)
    await (await begin_call("CA2", at_ms=NOW_S * 1000)).end()
    between = datetime.fromtimestamp(NOW_S - 50, tz=UTC)
    east = between.astimezone(timezone(timedelta(hours=5, minutes=30)))
    client = await web_client()
    for query, expected in [
        ("status=live", ["CA1"]),
        ("status=ended", ["CA2"]),
        (f"since={NOW_S - 50}", ["CA2"]),
        (f"until={NOW_S - 50}.5", ["CA1"]),
        (f"since={between:%Y-%m-%dT%H:%M:%SZ}", ["CA2"]),
        (f"since={east.isoformat()}", ["CA2"]),
        (f"until={between:%Y-%m-%d%%20%H:%M:%S}", ["CA1"]),
    ]:
        found = await (await client.get(f"/v1/calls?{query}")).json()
        assert [call["call_sid"] for call in found["calls"]] == expected, query


@pytest.mark.parametrize("more", ["", "&q=hello"])
async def test_moments_at_the_edges(web_client: WebClient, begin_call: Any, more: str) -> None:
    call = await begin_call("CA1", at_ms=1_793_491_200_000)  # 2026-11-01
    await call.say("hello")
    client = await web_client()
    for query, found in [
        ("until=9999-12-31T23:59:59-23:59", True),
        ("since=0001-01-01T00:00:00%2B14:00", True),
        ("until=0001-01-01T00:00:00%2B14:00", False),
        ("since=9999-12-31T23:59:59-23:59", False),
        ("since=20261101", True),
        ("until=20261101", True),
        ("since=20261102", False),
        ("until=20261031", False),
        ("until=20261031T235959.999Z", False),
        ("until=0", False),
        ("until=99999999999", True),
    ]:
        answer = await client.get(f"/v1/calls?{query}{more}")
        assert answer.status == 200, query
        assert bool((await answer.json())["calls"]) is found, query


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("query=pizza", "query"),
        ("q=", "q"),
        ("q=%2A%3F", "q"),
        ("q=%22never%20closed", "q"),
        ("q=" + "a" * 501, "q"),
        ("q=a%2A", "q"),
        ("q=" + "%20".join(map(str, range(17))), "q"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("limit=%C2%B2", "limit"),
        ("status=gone", "status"),
        ("since=yesterday", "since"),
        ("since=2026", "since"),
        ("since=202612", "since"),
        ("since=2026335", "since"),
        ("since=20261301", "since"),
        ("until=1e400", "until"),
        ("since=2026-13-01", "since"),
        ("limit=1&limit=2", "limit"),
        ("cursor=nonsense", "cursor"),
        ("q=a1&cursor=OTAwNzE5OTI1NDc0MDk5MTpDQQ==", "cursor"),  # 9007199254740991:CA
        ("q=co*%20ca*%20pa*%20re*%20ma*", "q"),
    ],
)
async def test_a_bad_query_is_named(web_client: WebClient, query: str, named: str) -> None:
    answer = await (await web_client()).get(f"/v1/calls?{query}")
    assert answer.status == 400
    error = (await answer.json())["error"]
    assert error["code"] == "bad_request"
    assert named in error["message"]


async def test_a_summary(web_client: WebClient, begin_call: Any) -> None:
    await pizza(begin_call)
    summary = await (await (await web_client()).get("/v1/calls/CA1")).json()
    assert summary["call_sid"] == "CA1"
    assert summary["status"] == "ended"


@pytest.mark.parametrize("path", ["/v1/calls/CA9", "/v1/calls/CA9/transcript", "/v1/calls/CA9/events"])
async def test_an_unknown_call_is_not_found(web_client: WebClient, path: str) -> None:
    answer = await (await web_client()).get(path)
    assert answer.status == 404
    assert (await answer.json())["error"]["code"] == "not_found"


@pytest.mark.parametrize("call_sid", ["C A", "x" * 65, "a:b", "é", "CA1%0A"])
@pytest.mark.parametrize("route", ["", "/transcript", "/events"])
async def test_a_strange_call_sid_is_refused(web_client: WebClient, call_sid: str, route: str) -> None:
    answer = await (await web_client()).get(f"/v1/calls/{call_sid}{route}")
    assert answer.status == 400
    assert "call_sid" in (await answer.json())["error"]["message"]


async def test_a_transcript_is_one_conversation(web_client: WebClient, begin_call: Any) -> None:
    await pizza(begin_call)
    answer = await (await web_client()).get("/v1/calls/CA1/transcript")
    assert answer.content_type == "application/json"
    found = await answer.json()
    assert (found["call_sid"], found["status"]) == ("CA1", "ended")
    assert [each["speaker"] for each in found["utterances"]] == ["agent", "caller"]
    assert found["utterances"][1]["seq"] == 3


async def test_a_transcript_of_one_track(web_client: WebClient, begin_call: Any) -> None:
    await pizza(begin_call)
    client = await web_client()
    text = await (await client.get("/v1/calls/CA1/transcript?format=txt&track=outbound")).text()
    assert text == "[00:01.000] agent: how can I help\n"
    assert (await client.get("/v1/calls/CA1/transcript?track=both")).status == 400


@pytest.mark.parametrize(
    ("name", "kind"),
    [("txt", "text/plain"), ("vtt", "text/vtt"), ("srt", "application/x-subrip"), ("csv", "text/csv")],
)
async def test_a_transcript_in_other_formats(web_client: WebClient, begin_call: Any, name: str, kind: str) -> None:
    await pizza(begin_call)
    client = await web_client()
    named = await client.get("/v1/calls/CA1/transcript", params={"format": name}, headers={"Accept": "image/png"})
    wanted = await client.get("/v1/calls/CA1/transcript", headers={"Accept": f"application/json;q=0.1, {kind}"})
    text = await named.text()
    assert text == await wanted.text()
    assert named.headers["Content-Type"] == wanted.headers["Content-Type"] == f"{kind}; charset=utf-8"
    assert named.headers["Content-Disposition"] == f'attachment; filename="CA1.{name}"'
    assert named.headers["Vary"] == "Accept"
    count = {
        "txt": lambda: len(text.splitlines()),
        "vtt": lambda: len(webvtt.WebVTT.from_string(text).captions),
        "srt": lambda: len(list(srt.parse(text))),
        "csv": lambda: len(list(csv.DictReader(io.StringIO(text)))),
    }
    assert count[name]() == 2


async def test_a_format_nobody_has(web_client: WebClient, begin_call: Any) -> None:
    await pizza(begin_call)
    client = await web_client()
    assert (await client.get("/v1/calls/CA1/transcript?format=pdf")).status == 400
    answer = await client.get("/v1/calls/CA1/transcript", headers={"Accept": "application/pdf"})
    assert answer.status == 406
    assert (await answer.json())["error"]["code"] == "not_acceptable"


@pytest.mark.parametrize("name", ["json", "txt", "vtt", "srt", "csv"])
async def test_events_of_another_version_are_read(web_client: WebClient, name: str) -> None:
    history = FixedHistory('{"type":"final","seq":2,"text":"sparse"}', "{", "[]", '{"type":"novel"}')
    client = await web_client({"history": history})
    answer = await client.get("/v1/calls/CA1/transcript", params={"format": name})
    assert answer.status == 200
    assert "sparse" in await answer.text()


async def test_a_call_is_deleted(web_client: WebClient, begin_call: Any) -> None:
    call = await begin_call("CA1")
    client = await web_client()
    refused = await client.delete("/v1/calls/CA1")
    assert refused.status == 409
    assert (await refused.json())["error"]["code"] == "call_is_live"
    await call.end()
    assert (await client.delete("/v1/calls/CA1")).status == 204
    assert (await client.get("/v1/calls/CA1")).status == 404
    assert (await client.delete("/v1/calls/CA1")).status == 404


async def test_a_store_that_is_away_is_no_secret_but_its_address_is(web_client: WebClient) -> None:
    client = await web_client({"history": FixedHistory()})
    answer = await client.delete("/v1/calls/CA1")
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert (await answer.json())["error"]["code"] == "store_unavailable"
    assert "secret" not in await answer.text()
