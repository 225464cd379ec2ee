"""The voice webhook's TwiML and the stream's status callback."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import pytest
from aiohttp.test_utils import TestClient

from tests.web.conftest import Client, Registry, WebClient
from transcriber.core.signature import compute
from transcriber.errors import StoreError
from transcriber.store.redis import RedisStore

PUBLIC = "https://media.example.net:8443/calls"
SIGNED = {"twilio_auth_token": ("12345",), "public_url": PUBLIC}
CALL = {"CallSid": "CA1", "From": "+15550100", "SpeechResult": " a & b ", "Empty": ""}


class NoTickets:
    async def issue(self, call_sid: str) -> str:
        raise StoreError("away")

    async def redeem(self, ticket: str, call_sid: str) -> bool:
        raise StoreError("away")


async def answered(client: Client, form: Mapping[str, str] = CALL) -> ET.Element:
    answer = await client.post("/v1/twiml", data=form)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/xml; charset=utf-8"
    return ET.fromstring(await answer.read())


def signed(path: str, form: Mapping[str, str], *, token: str = "12345") -> dict[str, Any]:
    signature = compute(token, PUBLIC + path, form.items())
    content = "application/x-www-form-urlencoded; charset=UTF-8"
    return {"data": urlencode(form), "headers": {"X-Twilio-Signature": signature, "Content-Type": content}}


async def test_the_twiml_starts_both_tracks_with_a_ticket(web_client: WebClient, store: RedisStore) -> None:
    client = await web_client(public_url=PUBLIC)
    root = await answered(client)
    assert [child.tag for child in root] == ["Start", "Pause"]
    stream = root.find("Start/Stream")
    assert stream is not None
    assert stream.attrib == {
        "url": "wss://media.example.net:8443/calls/v1/media",
        "track": "both_tracks",
        "statusCallback": "https://media.example.net:8443/calls/v1/stream-status",
    }
    (parameter,) = stream
    assert parameter.attrib["name"] == "ticket"
    assert await store.tickets.redeem(parameter.attrib["value"], "CA1")


async def test_without_a_public_url_the_address_is_the_requests(web_client: WebClient) -> None:
    client = await web_client()
    stream = (await answered(client)).find("Start/Stream")
    assert stream is not None
    assert stream.attrib["url"] == f"ws://{client.host}:{client.port}/v1/media"
    assert stream.attrib["statusCallback"] == f"http://{client.host}:{client.port}/v1/stream-status"


async def test_behind_a_tls_proxy_the_address_is_secure(web_client: WebClient) -> None:
    client = await web_client(insecure=True)
    headers = {"X-Forwarded-Proto": "https", "Host": "a.example"}
    answer = await client.post("/v1/twiml", data=CALL, headers=headers)
    assert b'url="wss://a.example/v1/media"' in await answer.read()


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        ("dial:+15550100<&>", "<Dial>+15550100&lt;&amp;&gt;</Dial>"),
        ("redirect:https://h/a?b=1&c=2", "<Redirect>https://h/a?b=1&amp;c=2</Redirect>"),
        ("pause:60", '<Pause length="60" />'),
    ],
)
async def test_what_follows_is_configured(web_client: WebClient, then: str, expected: str) -> None:
    client = await web_client(twiml_then=then)
    text = await (await client.post("/v1/twiml", data=CALL)).text()
    assert text.endswith(f"</Start>{expected}</Response>")


@pytest.mark.parametrize("state", ["draining", "full"])
async def test_without_room_the_call_goes_on(web_client: WebClient, registry: Registry, state: str) -> None:
    setattr(registry, state, True)
    root = await answered(await web_client())
    assert [child.tag for child in root] == ["Pause"]


async def test_without_tickets_the_stream_goes_without(web_client: WebClient) -> None:
    root = await answered(await web_client({"tickets": NoTickets()}))
    assert root.find("Start/Stream") is not None
    assert root.find("Start/Stream/Parameter") is None


async def test_without_tickets_that_are_a_must_the_call_goes_on(web_client: WebClient) -> None:
    root = await answered(await web_client({"tickets": NoTickets()}, require_ticket=True))
    assert [child.tag for child in root] == ["Pause"]


@pytest.mark.parametrize("form", [{}, {"CallSid": ""}, {"CallSid": "a b"}])
async def test_no_call_no_twiml(web_client: WebClient, form: Mapping[str, str]) -> None:
    answer = await (await web_client()).post("/v1/twiml", data=form)
    assert answer.status == 400
    assert "CallSid" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize("body", [b"CallSid=\xff", b"&".join(b"a=1" for _ in range(300))])
async def test_a_broken_form_is_refused(web_client: WebClient, body: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await (await web_client()).post("/v1/twiml", data=body, headers=headers)).status == 400


async def test_a_form_too_large_is_refused(web_client: WebClient) -> None:
    answer = await (await web_client()).post("/v1/twiml", data={"a": "x" * 100_000})
    assert answer.status == 413
    assert (await answer.json())["error"]["code"] == "too_large"


@pytest.mark.parametrize("path", ["/v1/twiml", "/v1/stream-status"])
async def test_webhooks_are_signed(web_client: WebClient, path: str) -> None:
    client = await web_client(**SIGNED)
    form = CALL | {"StreamSid": "MZ1", "StreamEvent": "stream-started"}
    assert (await client.post(path, **signed(path, form))).status in (200, 204)
    for wrong in (
        signed(path, form, token="other"),
        signed(path, form) | {"data": urlencode(form | {"CallSid": "CA2"})},
        signed("/v1/other", form),
        {"data": form},
    ):
        answer = await client.post(path, **wrong)
        assert answer.status == 403
        assert (await answer.json())["error"]["code"] == "forbidden"


async def test_a_json_webhook_needs_its_hash(web_client: WebClient) -> None:
    client: TestClient[Any, Any] = await web_client(**SIGNED)
    headers = {"X-Twilio-Signature": compute("12345", PUBLIC + "/v1/twiml"), "Content-Type": "application/json"}
    assert (await client.post("/v1/twiml", data=b'{"a":1}', headers=headers)).status == 403
    path = "/v1/twiml?bodySHA256=015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    headers["X-Twilio-Signature"] = compute("12345", PUBLIC + path)
    assert (await client.post(path, data=b'{"a":1}', headers=headers)).status == 400


@pytest.mark.parametrize(
    ("event", "ended", "reported"),
    [
        ("stream-started", [], []),
        ("stream-stopped", [("MZ1", "callback")], []),
        ("stream-error", [("MZ1", "callback")], [("MZ1", "twilio_error", "31941")]),
        ("stream-novel", [], []),
    ],
)
async def test_status_callbacks(
    web_client: WebClient, registry: Registry, event: str, ended: list[Any], reported: list[Any]
) -> None:
    client = await web_client()
    form = {"StreamSid": "MZ1", "StreamEvent": event, "StreamError": "31941", "AccountSid": "AC1"}
    assert (await client.post("/v1/stream-status", data=form)).status == 204
    assert (registry.ended, registry.reported) == (ended, reported)


async def test_a_status_callback_of_an_unknown_stream_is_fine(web_client: WebClient) -> None:
    form = {"StreamSid": "XX9", "StreamEvent": "stream-stopped"}
    assert (await (await web_client()).post("/v1/stream-status", data=form)).status == 204


async def test_a_status_callback_of_another_account_is_refused(web_client: WebClient, registry: Registry) -> None:
    client = await web_client(twilio_account_sid=("AC1",))
    form = {"StreamSid": "MZ1", "StreamEvent": "stream-stopped"}
    assert (await client.post("/v1/stream-status", data=form | {"AccountSid": "AC2"})).status == 403
    assert registry.ended == []
    assert (await client.post("/v1/stream-status", data=form | {"AccountSid": "AC1"})).status == 204


async def test_a_status_callback_names_its_stream(web_client: WebClient) -> None:
    answer = await (await web_client()).post("/v1/stream-status", data={"StreamEvent": "stream-stopped"})
    assert answer.status == 400
