"""Streams on calls in progress, over a stand-in for Twilio's REST API."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client as SdkClient

from tests.twilio_rest import ACCOUNT, BUSY, CROWDED, ENDED, LIVE, TOKEN, TwilioRest
from tests.web.conftest import Client, StubSessions, WebClient
from transcriber.cli.main import main
from transcriber.web.services import Services

Serve = Callable[[Any], Awaitable[TestServer]]
KEY = "k" * 32
PUBLIC = "https://media.example.net:8443/voice"


@pytest.fixture
def web_client(web_client: WebClient) -> WebClient:
    """Clients with the server's own key: whoever has set Twilio up wants one."""

    async def make(parts: Mapping[str, Any] | None = None, /, **settings: Any) -> Client:
        client = await web_client({"local_key": KEY, **(parts or {})}, **settings)
        client.session.headers["X-API-Key"] = KEY
        return client

    return make


@pytest.fixture
async def twilio(aiohttp_server: Serve) -> tuple[TwilioRest, dict[str, Any]]:
    """The stand-in, and settings that lead there."""
    rest = TwilioRest()
    server = await aiohttp_server(rest.app())
    return rest, {
        "twilio_account_sid": (ACCOUNT,),
        "twilio_auth_token": (TOKEN, "old"),
        "public_url": PUBLIC,
        "twilio_api_url": str(server.make_url("")).rstrip("/"),
    }


async def test_a_stream_is_started_with_ticket_and_callback_and_stopped(
    web_client: WebClient, twilio: tuple[TwilioRest, dict[str, Any]], services: Services
) -> None:
    rest, settings = twilio
    client = await web_client(**settings)
    answer = await client.post(f"/v1/calls/{LIVE}/attach", json={"track": "inbound", "parameters": {"language": "ko"}})
    assert (answer.status, await answer.json()) == (
        201,
        {"call_sid": LIVE, "stream_sid": "MZ" + "9" * 32, "name": "transcriber"},
    )
    [form] = rest.started
    ticket = form.pop("Parameter1.Value")
    assert form == {
        "Url": "wss://media.example.net:8443/voice/v1/media",
        "Name": "transcriber",
        "Track": "inbound_track",
        "StatusCallback": "https://media.example.net:8443/voice/v1/stream-status",
        "StatusCallbackMethod": "POST",
        "Parameter1.Name": "ticket",
        "Parameter2.Name": "language",
        "Parameter2.Value": "ko",
    }
    assert await services.tickets.redeem(ticket, LIVE)
    answer = await client.post(f"/v1/calls/{LIVE}/detach")
    assert (answer.status, rest.stopped) == (200, ["transcriber"])


@pytest.mark.parametrize(
    ("call_sid", "status", "code"),
    [
        (ENDED, 409, "call_not_in_progress"),
        (CROWDED, 409, "twilio_refused"),
        (BUSY, 503, "twilio_busy"),
        ("CA" + "7" * 32, 404, "not_found"),
    ],
)
async def test_what_twilio_refuses_is_said(
    web_client: WebClient, twilio: tuple[TwilioRest, dict[str, Any]], call_sid: str, status: int, code: str
) -> None:
    client = await web_client(**twilio[1])
    for verb in ("attach", "detach"):
        answer = await client.post(f"/v1/calls/{call_sid}/{verb}")
        assert (answer.status, (await answer.json())["error"]["code"]) == (status, code)


async def test_wrong_credentials_and_no_answer(
    web_client: WebClient, twilio: tuple[TwilioRest, dict[str, Any]], unused_tcp_port: int
) -> None:
    for changed, code in (
        ({"twilio_auth_token": ("wrong",)}, "twilio_credentials"),
        ({"twilio_api_url": f"http://127.0.0.1:{unused_tcp_port}"}, "twilio_unreachable"),
    ):
        answer = await (await web_client(**twilio[1] | changed)).post(f"/v1/calls/{LIVE}/attach")
        error = (await answer.json())["error"]
        assert (answer.status, error["code"]) == (502, code)
        assert "wrong" not in error["message"]


async def test_what_is_missing_is_named(web_client: WebClient, sessions: StubSessions) -> None:
    answer = await (await web_client()).post(f"/v1/calls/{LIVE}/attach")
    error = (await answer.json())["error"]
    assert (answer.status, error["code"]) == (409, "not_configured")
    assert "TRANSCRIBER_TWILIO_ACCOUNT_SID, TRANSCRIBER_TWILIO_AUTH_TOKEN, TRANSCRIBER_PUBLIC_URL" in error["message"]
    sessions.admission.draining = True
    client = await web_client(twilio_account_sid=("AC1",), twilio_auth_token=("t",), public_url=PUBLIC)
    assert (await client.post(f"/v1/calls/{LIVE}/attach")).status == 503


async def test_where_the_proxy_has_other_servers_one_without_room_may_be_asked(
    web_client: WebClient, twilio: tuple[TwilioRest, dict[str, Any]], sessions: StubSessions
) -> None:
    sessions.admission.full = True
    client = await web_client(**twilio[1])
    assert (await client.post(f"/v1/calls/{LIVE}/attach")).status == 503
    assert (await client.post(f"/v1/calls/{LIVE}/attach", headers={"X-Other-Servers": "yes"})).status == 201


@pytest.mark.parametrize(
    "body", ["[]", "{", '{"track":"all"}', '{"track":[]}', '{"name":"a b"}', '{"other":1}', '{"parameters":{"a":1}}']
)
async def test_a_wrong_body(web_client: WebClient, twilio: tuple[TwilioRest, dict[str, Any]], body: str) -> None:
    answer = await (await web_client(**twilio[1])).post(f"/v1/calls/{LIVE}/attach", data=body)
    assert (answer.status, (await answer.json())["error"]["code"]) == (400, "bad_request")


async def test_all_parameters_arrive_or_none_is_sent(
    web_client: WebClient, twilio: tuple[TwilioRest, dict[str, Any]], services: Services
) -> None:
    rest, settings = twilio
    client = await web_client(**settings)
    most = {f"p{number}": "x" for number in range(98)}
    answer = await client.post(f"/v1/calls/{LIVE}/attach", json={"parameters": most | {"p0": "y" * 497}})
    assert answer.status == 201
    [form] = rest.started
    sent = {form[f"Parameter{number}.Name"]: form[f"Parameter{number}.Value"] for number in range(1, 100)}
    assert await services.tickets.redeem(sent.pop("ticket"), LIVE)
    assert sent == most | {"p0": "y" * 497}
    for wrong in (most | {"one": "more"}, {"p": "y" * 499}, {"": "x"}, {"n" * 129: "x"}, {"ticket": "mine"}):
        answer = await client.post(f"/v1/calls/{LIVE}/attach", json={"parameters": wrong})
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, "bad_request")
    assert len(rest.started) == 1


async def test_where_tickets_are_a_must_the_stream_is_proved_by_its_address(
    web_client: WebClient, twilio: tuple[TwilioRest, dict[str, Any]]
) -> None:
    rest, settings = twilio
    await (await web_client(**settings, require_ticket=True)).post(f"/v1/calls/{LIVE}/attach")
    [form] = rest.started
    assert form["Url"] == f"{PUBLIC.replace('https', 'wss')}/v1/media/ticket/{form['Parameter1.Value']}"


ODD_CODES = [b'"ABC"', b'"21220x"', b"null", b"true", b"[1]", b"{}", b"1e400", b'"9999999999999999999999"', b'"a\\nb"']


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((400, b'{"code":%s,"message":"No","status":400}' % code) for code in ODD_CODES),
        *((500, b'{"type":"t","title":"t","status":"x","code":%s}' % code) for code in ODD_CODES[:4]),
        *((status, b"<html>gateway</html>") for status in (200, 201, 302, 400, 500, 502)),
        *((status, body) for status in (201, 400, 503) for body in (b"", b"[]", b"null", b'"text"', b"\xff\xfe", b"{")),
        (201, b"{}"),
        (201, b'{"sid":null}'),
        (201, b'{"sid":7}'),
        (201, b'{"sid":"MZ\\u000a1"}'),
        (201, b'{"sid":"MZ1","date_updated":"yesterday"}'),
        (201, b'{"sid":"MZ1","date_updated":[]}'),
        (400, b'{"message":["a"],"code":1}'),
        (400, b'{"message":"' + b"long " * 10_000 + b'","code":1}'),
        (418, b"{}"),
        (600, b"{}"),
    ],
)
async def test_whatever_twilio_answers_is_an_error_in_order(
    web_client: WebClient, twilio: tuple[TwilioRest, dict[str, Any]], status: int, body: bytes
) -> None:
    rest, settings = twilio
    rest.answer = status, body
    client = await web_client(**settings)
    for verb in ("attach", "detach"):
        answer = await client.post(f"/v1/calls/{LIVE}/{verb}")
        if answer.status in (200, 201):
            assert b"MZ1" in body
            assert (await answer.json())["stream_sid"] == "MZ1"
            continue
        error = (await answer.json())["error"]
        expected = (409, "twilio_refused") if 400 <= status < 500 else (502, "twilio_failed")
        assert (answer.status, error["code"]) == expected
        assert error["message"].isprintable()
        assert len(error["message"]) < 600


async def test_the_newer_shape_of_errors_is_read_too(
    web_client: WebClient, twilio: tuple[TwilioRest, dict[str, Any]]
) -> None:
    rest, settings = twilio
    rest.answer = 400, b'{"type":"t","title":"Bad","status":400,"code":21220,"detail":"not in progress"}'
    answer = await (await web_client(**settings)).post(f"/v1/calls/{LIVE}/attach")
    error = (await answer.json())["error"]
    assert (answer.status, error["code"]) == (409, "call_not_in_progress")
    assert "not in progress (code 21220)" in error["message"]


async def test_the_commands(
    web_client: WebClient, twilio: tuple[TwilioRest, dict[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o600)
    client = await web_client(**twilio[1])
    server = ["--url", str(client.make_url("/")), "--api-key-file", str(tmp_path / "key")]
    assert await asyncio.to_thread(main, ["attach", LIVE, "--param", "hints=Acme", *server]) == 0
    assert await asyncio.to_thread(main, ["detach", LIVE, *server]) == 0
    assert await asyncio.to_thread(main, ["attach", ENDED, *server]) == 1
    out, err = capsys.readouterr()
    assert [line.rpartition(" was ")[2] for line in out.splitlines()] == ["started", "stopped"]
    assert err.startswith(f"transcriber: call {ENDED} is not in progress")


async def test_twilios_own_client_sends_the_same(
    web_client: WebClient, twilio: tuple[TwilioRest, dict[str, Any]]
) -> None:
    """The SDK is the second opinion on paths, fields and the signature of a request."""
    rest, settings = twilio
    client = await web_client(**settings)
    await client.post(f"/v1/calls/{LIVE}/attach", json={"parameters": {"a b": "ü&="}})
    await client.post(f"/v1/calls/{LIVE}/detach")
    ours = dict(rest.started[0])

    class Local(TwilioHttpClient):  # type: ignore[misc,unused-ignore]
        def request(self, method: str, url: str, *args: Any, **more: Any) -> Any:
            return super().request(
                method, url.replace("https://api.twilio.com", settings["twilio_api_url"]), *args, **more
            )

    def sdk() -> None:
        streams = SdkClient(ACCOUNT, TOKEN, http_client=Local()).calls(LIVE).streams
        streams.create(
            url=ours["Url"],
            name=ours["Name"],
            track=ours["Track"],
            status_callback=ours["StatusCallback"],
            status_callback_method="POST",
            parameter1_name="ticket",
            parameter1_value=ours["Parameter1.Value"],
            parameter2_name="a b",
            parameter2_value="ü&=",
        )
        SdkClient(ACCOUNT, TOKEN, http_client=Local()).calls(LIVE).streams("transcriber").update(status="stopped")

    await asyncio.to_thread(sdk)
    assert rest.started == [ours, ours]
    assert rest.stopped == ["transcriber", "transcriber"]


async def test_a_netrc_and_a_password_in_the_address_do_not_come_between(
    web_client: WebClient,
    twilio: tuple[TwilioRest, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "netrc").write_text("default login other password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    address = twilio[1]["twilio_api_url"].replace("http://", "http://other:secret@")
    client = await web_client(**twilio[1] | {"twilio_api_url": address})
    assert (await client.post(f"/v1/calls/{LIVE}/attach")).status == 201
