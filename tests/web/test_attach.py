"""Streams on calls in progress, over a stand-in for Twilio's REST API."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from tests.twilio_rest import ACCOUNT, BUSY, CROWDED, ENDED, LIVE, TOKEN, TwilioRest
from tests.web.conftest import Registry, WebClient
from transcriber.cli.main import main
from transcriber.web.services import Services

Serve = Callable[[Any], Awaitable[TestServer]]
PUBLIC = "https://media.example.net:8443/voice"


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
    ticket = form.pop("Parameter2.Value")
    assert form == {
        "Url": "wss://media.example.net:8443/voice/v1/media",
        "Name": "transcriber",
        "Track": "inbound_track",
        "StatusCallback": "https://media.example.net:8443/voice/v1/stream-status",
        "StatusCallbackMethod": "POST",
        "Parameter1.Name": "language",
        "Parameter1.Value": "ko",
        "Parameter2.Name": "ticket",
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


async def test_what_is_missing_is_named(web_client: WebClient, registry: Registry) -> None:
    answer = await (await web_client()).post(f"/v1/calls/{LIVE}/attach")
    error = (await answer.json())["error"]
    assert (answer.status, error["code"]) == (409, "not_configured")
    assert "TRANSCRIBER_TWILIO_ACCOUNT_SID, TRANSCRIBER_TWILIO_AUTH_TOKEN, TRANSCRIBER_PUBLIC_URL" in error["message"]
    registry.draining = True
    client = await web_client(twilio_account_sid=("AC1",), twilio_auth_token=("t",), public_url=PUBLIC)
    assert (await client.post(f"/v1/calls/{LIVE}/attach")).status == 503


@pytest.mark.parametrize(
    "body", ["[]", "{", '{"track":"all"}', '{"track":[]}', '{"name":"a b"}', '{"other":1}', '{"parameters":{"a":1}}']
)
async def test_a_wrong_body(web_client: WebClient, twilio: tuple[TwilioRest, dict[str, Any]], body: str) -> None:
    answer = await (await web_client(**twilio[1])).post(f"/v1/calls/{LIVE}/attach", data=body)
    assert (answer.status, (await answer.json())["error"]["code"]) == (400, "bad_request")


async def test_the_commands(
    web_client: WebClient, twilio: tuple[TwilioRest, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    client = await web_client(**twilio[1])
    url = str(client.make_url("/"))
    assert await asyncio.to_thread(main, ["attach", LIVE, "--param", "hints=Acme", "--url", url]) == 0
    assert await asyncio.to_thread(main, ["detach", LIVE, "--url", url]) == 0
    assert await asyncio.to_thread(main, ["attach", ENDED, "--url", url]) == 1
    out, err = capsys.readouterr()
    assert [line.rpartition(" was ")[2] for line in out.splitlines()] == ["started", "stopped"]
    assert err.startswith(f"transcriber: call {ENDED} is not in progress")
