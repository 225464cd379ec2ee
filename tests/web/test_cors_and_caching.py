"""Caches, compression and other origins."""

import gzip
from typing import Any

import pytest

from tests.web.conftest import WebClient

KEY = "k" * 32
AUTH = {"Authorization": f"Bearer {KEY}"}
HERE = "https://desk.example.net"


async def test_an_ended_transcript_is_sent_once(web_client: WebClient, begin_call: Any) -> None:
    call = await begin_call("CA1")
    await call.say("hello")
    client = await web_client()
    live = await client.get("/v1/calls/CA1/transcript")
    assert "ETag" not in live.headers
    await call.end()
    ended = await client.get("/v1/calls/CA1/transcript")
    tag = ended.headers["ETag"]
    for given in (tag, f'"x", {tag}', tag.removeprefix("W/"), "*"):
        again = await client.get("/v1/calls/CA1/transcript", headers={"If-None-Match": given})
        assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", tag)
    for other in ("?format=txt", "?track=inbound"):
        answer = await client.get(f"/v1/calls/CA1/transcript{other}", headers={"If-None-Match": tag})
        assert answer.status == 200


async def test_a_call_that_goes_on_has_another_tag(web_client: WebClient, begin_call: Any) -> None:
    await (await begin_call("CA1")).end()
    client = await web_client()
    first = (await client.get("/v1/calls/CA1/transcript")).headers["ETag"]
    await (await begin_call("CA1", stream_sid="MZ2")).say("more")
    answer = await client.get("/v1/calls/CA1/transcript", headers={"If-None-Match": first})
    assert answer.status == 200


async def test_long_answers_are_compressed_for_those_who_take_it(web_client: WebClient, begin_call: Any) -> None:
    call = await begin_call("CA1")
    for number in range(20):
        await call.say(f"the words of sentence {number}")
    client = await web_client()
    async with client.get(
        "/v1/calls/CA1/transcript", headers={"Accept-Encoding": "gzip"}, auto_decompress=False
    ) as small:
        body = await small.read()
    plain = await (await client.get("/v1/calls/CA1/transcript", headers={"Accept-Encoding": "identity"})).read()
    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == plain
    assert len(body) < len(plain) / 3
    assert "Accept-Encoding" in ", ".join(small.headers.getall("Vary"))


@pytest.mark.parametrize(("allowed", "granted"), [((HERE,), HERE), (("*",), "*"), ((), None), (("https://x",), None)])
async def test_other_origins(web_client: WebClient, allowed: tuple[str, ...], granted: str | None) -> None:
    client = await web_client(api_keys=(KEY,), cors_origins=allowed)
    asked = {"Origin": HERE, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    before = await client.options("/v1/calls", headers=asked)
    answer = await client.get("/v1/calls", headers=AUTH | {"Origin": HERE})
    refused = await client.get("/v1/calls", headers={"Origin": HERE})
    for response in (before, answer, refused):
        assert response.headers.get("Access-Control-Allow-Origin") == granted
    assert (before.status, answer.status, refused.status) == (204 if granted else 405, 200, 401)
    assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_a_plain_options_request_is_refused_as_ever(web_client: WebClient) -> None:
    answer = await (await web_client(cors_origins=("*",))).options("/v1/calls")
    assert answer.status == 405
