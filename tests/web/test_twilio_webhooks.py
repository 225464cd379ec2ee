"""The voice webhook's TwiML and the stream's status callback."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree as ET

import pytest
from aiohttp.test_utils import TestClient

from tests.web.conftest import Client, StubSessions, WebClient
from transcriber.errors import StoreError
from transcriber.observability.log_rate_limit import MAX_LINES
from transcriber.store.redis_store import RedisStore
from transcriber.telephony.twilio.signature import compute
from transcriber.web.services import Services

PUBLIC = "https://media.example.net:8443/calls"
SIGNED = {"twilio_auth_token": ("12345",), "public_url": PUBLIC}
FORM_TYPE = "application/x-www-form-urlencoded"
CALL = {"CallSid": "CA1", "From": "+15550100", "SpeechResult": " a & b ", "Empty": ""}


class NoTickets:
    async def issue(self, call_sid: str) -> str:
        raise StoreError("away")

    async def redeem(self, ticket: str, call_sid: str) -> bool:
        raise StoreError("away")

    async def spend(self, ticket: str) -> str:
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


def raw_signature(path: str, body: bytes) -> dict[str, str]:
    """Over the bytes of the form as they are sent."""
    text = body.decode("utf-8", "surrogateescape")
    fields = parse_qsl(text, keep_blank_values=True, errors="surrogateescape")
    return {"X-Twilio-Signature": compute("12345", PUBLIC + path, fields)}


async def test_the_twiml_starts_both_tracks_with_a_ticket(web_client: WebClient, store: RedisStore) -> None:
    client = await web_client(public_url=PUBLIC, insecure=True)
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
async def test_without_room_the_call_goes_on(web_client: WebClient, sessions: StubSessions, state: str) -> None:
    setattr(sessions.admission, state, True)
    root = await answered(await web_client())
    assert [child.tag for child in root] == ["Pause"]


@pytest.mark.parametrize("state", ["draining", "full"])
async def test_without_room_the_stream_goes_to_another_server_if_the_proxy_has_one(
    web_client: WebClient, sessions: StubSessions, state: str
) -> None:
    setattr(sessions.admission, state, True)
    client = await web_client(**SIGNED)
    for said, started in (("yes", True), ("no", False), ("", False)):
        request = signed("/v1/twiml", CALL)
        request["headers"]["X-Other-Servers"] = said
        answer = await client.post("/v1/twiml", **request)
        assert (b"<Start>" in await answer.read()) == started


async def test_without_tickets_the_stream_goes_without(web_client: WebClient) -> None:
    root = await answered(await web_client({"tickets": NoTickets()}))
    assert root.find("Start/Stream") is not None
    assert root.find("Start/Stream/Parameter") is None


async def test_without_tickets_that_are_a_must_the_call_goes_on(web_client: WebClient) -> None:
    root = await answered(await web_client({"tickets": NoTickets()}, require_ticket=True))
    assert [child.tag for child in root] == ["Pause"]


CONTINUED = [
    (b"", FORM_TYPE),
    (b"CallSid=", FORM_TYPE),
    (b"CallSid=a+b", FORM_TYPE),
    (b"&".join(b"a%d=1" % number for number in range(900)), FORM_TYPE),
    (b"From=M%FCller&To=\xff", FORM_TYPE),
    (b"", ""),
    (b"CallSid=CA1", "text/plain"),
    (b'{"CallSid":"CA1"}', "application/json"),
    (
        b'--x\r\nContent-Disposition: form-data; name="CallSid"\r\n\r\nCA1\r\n--x--\r\n',
        "multipart/form-data; boundary=x",
    ),
]


@pytest.mark.parametrize(("body", "kind"), CONTINUED)
@pytest.mark.parametrize("path", ["/v1/twiml", "/v1/stream-status"])
async def test_whatever_comes_with_a_signature_the_call_goes_on(
    web_client: WebClient, services: Services, body: bytes, kind: str, path: str
) -> None:
    client: TestClient[Any, Any] = await web_client(**SIGNED)
    if kind != FORM_TYPE and body:
        path += f"?bodySHA256={sha256(body).hexdigest()}"
    headers = raw_signature(path, body if kind == FORM_TYPE else b"") | {"Content-Type": kind}
    answer = await client.post(path, data=body, headers=headers)
    if path.startswith("/v1/stream-status"):
        assert answer.status == 204
        return
    assert (answer.status, answer.content_type) == (200, "application/xml")
    text = await answer.text()
    assert [child.tag for child in ET.fromstring(text)] == ["Pause"]
    assert "<!-- not transcribed: the webhook names no call -->" in text
    assert (await client.post(path, data=body, headers={"Content-Type": kind})).status == 403
    read = services.metrics.registry.get_sample_value
    assert read("transcriber_calls_untranscribed_total", {"reason": "no_call"}) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"CallSid=CA1&City=M%FCnchen&Note=%A4+%00",
        b"CallSid=CA1&City=M\xfcnchen",
        b"CallSid=CA1&City=M%C3%BCnchen&Note=%E2%82%AC",
        "CallSid=CA1&City=M\u00fcnchen".encode(),
        b"CallSid=CA1&" + b"&".join(b"SipHeader_X-%d=%%FF" % number for number in range(300)),
    ],
)
@pytest.mark.parametrize("charset", ["", "; charset=ISO-8859-1", "; charset=UTF-8"])
async def test_a_form_of_any_letters_and_length_starts_a_stream(
    web_client: WebClient, body: bytes, charset: str
) -> None:
    client: TestClient[Any, Any] = await web_client(**SIGNED)
    signatures = [raw_signature("/v1/twiml", body)]
    with suppress(UnicodeDecodeError):
        latin = parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
        if b"%C3" not in body and b"\xc3" not in body:
            signatures.append({"X-Twilio-Signature": compute("12345", PUBLIC + "/v1/twiml", latin)})
    for headers in signatures:
        answer = await client.post("/v1/twiml", data=body, headers=headers | {"Content-Type": FORM_TYPE + charset})
        assert answer.status == 200
        assert ET.fromstring(await answer.read()).find("Start/Stream") is not None
    wrong = {"X-Twilio-Signature": compute("12345", PUBLIC + "/v1/twiml", [("CallSid", "CA1")])}
    assert (await client.post("/v1/twiml", data=body, headers=wrong | {"Content-Type": FORM_TYPE})).status == 403


async def test_a_bug_of_ours_does_not_cost_the_caller_the_call(
    web_client: WebClient, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(NoTickets):
        async def issue(self, call_sid: str) -> str:
            raise RuntimeError("bug")

    root = await answered(await web_client({"tickets": Broken()}))
    assert [child.tag for child in root] == ["Pause"]
    assert "bug" in caplog.text


async def test_a_ticket_that_cannot_be_issued_is_told_until_it_can(
    web_client: WebClient, services: Services, store: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    class Sometimes(NoTickets):
        away = True

        async def issue(self, call_sid: str) -> str:
            if self.away:
                raise StoreError("away")
            return await store.tickets.issue(call_sid)

        async def spend(self, ticket: str) -> str:
            return await store.tickets.spend(ticket)

    tickets = Sometimes()
    client = await web_client({"tickets": tickets}, require_ticket=True)
    assert (await client.get("/readyz")).status == 200
    for _ in range(30):
        text = await (await client.post("/v1/twiml", data=CALL)).text()
        assert "<Start" not in text
        assert "<!-- not transcribed: no ticket can be issued, and one is required -->" in text
    ready = await client.get("/readyz")
    assert (ready.status, (await ready.json())["problems"]) == (503, {"tickets": "away"})
    read = services.metrics.registry.get_sample_value
    assert read("transcriber_calls_untranscribed_total", {"reason": "no_ticket"}) == 30
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == MAX_LINES
    assert "no ticket" in errors[0].getMessage()
    tickets.away = False
    assert (await client.get("/readyz")).status == 200
    assert "<Start" in await (await client.post("/v1/twiml", data=CALL)).text()


async def test_while_redis_is_known_to_be_away_it_is_not_asked_for_tickets_too(web_client: WebClient) -> None:
    class Counting(NoTickets):
        asked = 0

        async def issue(self, call_sid: str) -> str:
            self.asked += 1
            return await super().issue(call_sid)

    async def redis_is_away() -> Mapping[str, str]:
        return {"redis": "away: no answer"}

    tickets = Counting()
    client = await web_client({"tickets": tickets, "readiness": redis_is_away}, require_ticket=True)
    assert (await (await client.get("/readyz")).json())["problems"] == {"redis": "away"}
    assert (await client.post("/v1/twiml", data=CALL)).status == 200
    assert tickets.asked == 1
    for _ in range(3):
        assert (await (await client.get("/readyz")).json())["problems"] == {"redis": "away", "tickets": "away"}
    assert tickets.asked == 1


async def test_a_form_of_endless_fields_is_not_even_read(web_client: WebClient) -> None:
    headers = {"Content-Type": FORM_TYPE}
    answer = await (await web_client()).post("/v1/twiml", data=b"&".join(b"a=1" for _ in range(5000)), headers=headers)
    assert answer.status == 413


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
    assert (await client.post(path, data=b'{"a":1}', headers=headers)).status == 200


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
    web_client: WebClient, sessions: StubSessions, event: str, ended: list[Any], reported: list[Any]
) -> None:
    client = await web_client()
    form = {"StreamSid": "MZ1", "StreamEvent": event, "StreamError": "31941", "AccountSid": "AC1"}
    assert (await client.post("/v1/stream-status", data=form)).status == 204
    assert (sessions.ended, sessions.reported) == (ended, reported)


async def test_a_status_callback_of_an_unknown_stream_is_fine(web_client: WebClient) -> None:
    form = {"StreamSid": "XX9", "StreamEvent": "stream-stopped"}
    assert (await (await web_client()).post("/v1/stream-status", data=form)).status == 204


async def test_a_status_callback_of_another_account_is_refused(web_client: WebClient, sessions: StubSessions) -> None:
    client = await web_client(twilio_account_sid=("AC1",))
    form = {"StreamSid": "MZ1", "StreamEvent": "stream-stopped"}
    assert (await client.post("/v1/stream-status", data=form | {"AccountSid": "AC2"})).status == 403
    assert sessions.ended == []
    assert (await client.post("/v1/stream-status", data=form | {"AccountSid": "AC1"})).status == 204


async def test_a_status_callback_of_no_stream_is_counted(
    web_client: WebClient, services: Services, sessions: StubSessions
) -> None:
    client = await web_client()
    for form in ({"StreamEvent": "stream-stopped"}, {"StreamEvent": "stream-stopped", "StreamSid": "a b"}):
        assert (await client.post("/v1/stream-status", data=form)).status == 204
    assert sessions.ended == []
    read = services.metrics.registry.get_sample_value
    assert read("transcriber_bad_messages_total", {"code": "bad_status_callback"}) == 2
