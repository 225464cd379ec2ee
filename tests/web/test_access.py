"""Who is let in: keys, Twilio's signature, this machine."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from tests.web.conftest import WebClient
from transcriber.settings.definition import Settings
from transcriber.telephony.twilio.signature import compute
from transcriber.web.access import authorization, twilio_requests
from transcriber.web.api.errors import HttpRefusal
from transcriber.web.app import create_app
from transcriber.web.services import Services

KEYS = {"api_keys": ("first", "second")}
SIGNED = {"twilio_auth_token": ("12345", "67890"), "public_url": "https://media.example.net/calls"}
MEDIA = "wss://media.example.net/calls/v1/media"


class Peer:
    """A transport that only knows who is on the other end."""

    def __init__(self, address: str) -> None:
        self._address = address

    def get_extra_info(self, name: str, default: object = None) -> object:
        return (self._address, 1234) if name == "peername" else default


@pytest.fixture
def request_from(services: Services) -> Any:
    def make(
        path: str = "/v1/calls",
        *,
        peer: str = "127.0.0.1",
        headers: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> web.Request:
        app = create_app(replace(services, settings=Settings(**(settings or {}))))
        shown = CIMultiDict(headers or {})
        shown.setdefault("Host", "localhost:8080")
        return make_mocked_request("GET", path, headers=shown, app=app, transport=Peer(peer))

    return make


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer second"}, {"X-API-Key": "first"}])
async def test_a_key_opens_the_api(web_client: WebClient, headers: dict[str, str]) -> None:
    client = await web_client(**KEYS)
    assert (await client.get("/v1/calls", headers=headers)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer third"},
        {"Authorization": "Bearer "},
        {"Authorization": "first"},
        {"Authorization": "Basic first"},
        {"X-API-Key": ""},
        {"X-API-Key": "firstsecond"},
        {"X-API-Key": "fïrst"},
    ],
)
async def test_without_a_valid_key_the_api_is_closed(web_client: WebClient, headers: dict[str, str]) -> None:
    client = await web_client(**KEYS)
    answer = await client.get("/v1/calls", headers=headers)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    error = (await answer.json())["error"]
    assert error["code"] == "unauthorized"
    assert "TRANSCRIBER_API_KEYS" in error["message"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_health_needs_no_key(web_client: WebClient, path: str) -> None:
    assert (await (await web_client(**KEYS)).get(path)).status == 200


async def test_every_other_route_needs_one(web_client: WebClient) -> None:
    client = await web_client(**KEYS)
    closed = [
        (route.method, route.resource.canonical.replace("{call_sid}", "CA1"))
        for route in client.app.router.routes()
        if route.resource is not None and route.resource.canonical not in authorization.OPEN_ROUTES
    ]
    assert ("DELETE", "/v1/calls/CA1") in closed
    for method, path in closed:
        assert (await client.request(method, path)).status == 401, path


async def test_refusals_are_counted(web_client: WebClient, services: Services) -> None:
    client = await web_client(**KEYS)
    await client.get("/v1/calls")
    assert services.metrics.registry.get_sample_value("transcriber_refusals_total", {"status": "401"}) == 1


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080", "[::1]"])
async def test_without_keys_this_machine_is_let_in(request_from: Any, peer: str, host: str) -> None:
    assert authorization.may_call(request_from(peer=peer, headers={"Host": host})) is None
    assert twilio_requests.may_stream(request_from(peer=peer, headers={"Host": host})) is None


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        ("10.0.0.7", {}),
        ("", {}),
        ("127.0.0.1", {"Host": "media.example.net"}),
        ("127.0.0.1", {"Host": "127.0.0.1.example.net"}),
        ("127.0.0.1", {"Host": "[::1"}),
        ("127.0.0.1", {"Host": ""}),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}),
        ("127.0.0.1", {"X-Forwarded-Proto": "https"}),
        ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}),
        ("127.0.0.1", {"X-Real-IP": "127.0.0.1"}),
        ("127.0.0.1", {"x-forwarded-ANYTHING": "1"}),
        ("127.0.0.1", {"Via": "1.1 proxy"}),
        ("127.0.0.1", {"CF-Ray": "1"}),
        ("127.0.0.1", {"True-Client-IP": "10.0.0.7"}),
        ("127.0.0.1", {"Tailscale-User-Login": "ada@example.net"}),
        ("127.0.0.1", {"X-Envoy-External-Address": "10.0.0.7"}),
        ("127.0.0.1", {"Proxy-Connection": "keep-alive"}),
        ("127.0.0.1", {"Sec-Fetch-Site": "cross-site"}),
        ("127.0.0.1", {"Origin": "http://[::1"}),
        ("127.0.0.1", {"Origin": "https://evil.example"}),
        ("127.0.0.1", {"Origin": "null"}),
        ("127.0.0.1", {"Origin": "http://evil.example://localhost"}),
        ("127.0.0.1", {"Origin": "http://evil@localhost"}),
        ("127.0.0.1", {"Host": "evil@127.0.0.1"}),
        ("127.0.0.1", {"X_Forwarded_For": "127.0.0.1"}),
        ("127.0.0.1", CIMultiDict([("Origin", "http://localhost"), ("Origin", "https://evil.example")])),
        ("127.0.0.1", CIMultiDict([("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")])),
    ],
)
async def test_without_keys_everybody_else_is_not(request_from: Any, peer: str, headers: Mapping[str, str]) -> None:
    for refusal in (
        authorization.may_call(request_from(peer=peer, headers=headers)),
        twilio_requests.may_stream(request_from("/v1/media", peer=peer, headers=headers)),
        await twilio_requests.webhook_form(request_from("/v1/twiml", peer=peer, headers=headers)),
    ):
        assert isinstance(refusal, HttpRefusal)
        assert refusal.status == 403
        assert "TRANSCRIBER_" in refusal.message


async def test_a_page_of_our_own_is_let_in(request_from: Any) -> None:
    assert authorization.may_call(request_from(headers={"Origin": "http://localhost:8080"})) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"public_url": "https://media.example.net"},
        {"trusted_proxies": ("127.0.0.1",)},
        {"host": "10.0.0.7"},
        {"host": "0.0.0.0"},
        KEYS,
    ],
    ids=lambda settings: next(iter(settings)),
)
async def test_whoever_expects_others_takes_nobody_for_this_machine(
    request_from: Any, settings: dict[str, Any]
) -> None:
    api = authorization.may_call(request_from(settings=settings))
    assert api is not None
    assert api.status == 401
    for refusal in (
        twilio_requests.may_stream(request_from("/v1/media", settings=settings)),
        await twilio_requests.webhook_form(request_from("/v1/twiml", settings=settings)),
    ):
        assert isinstance(refusal, HttpRefusal)
        assert refusal.status == 403


async def test_a_key_stands_in_for_a_token_that_is_not_set(request_from: Any) -> None:
    headers = {"X-API-Key": "first"}
    assert twilio_requests.may_stream(request_from("/v1/media", headers=headers, settings=KEYS)) is None
    assert await twilio_requests.webhook_form(request_from("/v1/twiml", headers=headers, settings=KEYS)) == {}


async def test_insecure_lets_everybody_in(request_from: Any) -> None:
    request = request_from("/v1/media", peer="10.0.0.7", settings={"insecure": True})
    assert authorization.may_call(request) is None
    assert twilio_requests.may_stream(request) is None


async def test_insecure_does_not_switch_keys_and_signatures_off(request_from: Any) -> None:
    request = request_from("/v1/media", settings={"insecure": True, **KEYS, **SIGNED})
    assert authorization.may_call(request) is not None
    assert twilio_requests.may_stream(request) is not None


async def test_a_ticket_may_stand_in_for_the_signature(request_from: Any) -> None:
    assert (
        twilio_requests.may_stream(request_from("/v1/media", peer="10.0.0.7", settings={"require_ticket": True}))
        is None
    )


@pytest.mark.parametrize("url", [MEDIA, MEDIA + "/", MEDIA.replace(".net", ".net:443")])
@pytest.mark.parametrize("token", ["12345", "67890"])
async def test_twilio_may_stream(request_from: Any, url: str, token: str) -> None:
    headers = {"X-Twilio-Signature": compute(token, url), "Host": "media.example.net"}
    assert (
        twilio_requests.may_stream(request_from("/v1/media", peer="10.0.0.7", headers=headers, settings=SIGNED)) is None
    )


async def test_a_key_may_stream_in_place_of_a_signature(request_from: Any) -> None:
    settings = SIGNED | KEYS
    assert (
        twilio_requests.may_stream(request_from("/v1/media", headers={"X-API-Key": "first"}, settings=settings)) is None
    )
    assert (
        twilio_requests.may_stream(request_from("/v1/media", headers={"X-API-Key": "other"}, settings=settings))
        is not None
    )


async def test_a_wrong_signature_says_which_urls_were_tried_and_no_secret(
    request_from: Any, caplog: pytest.LogCaptureFixture
) -> None:
    given = compute("wrong", MEDIA)
    request = request_from("/v1/media", headers={"X-Twilio-Signature": given}, settings=SIGNED)
    with caplog.at_level(logging.WARNING):
        refusal = twilio_requests.may_stream(request)
    assert refusal is not None
    assert refusal.status == 403
    assert "TRANSCRIBER_PUBLIC_URL" in refusal.message
    assert MEDIA in caplog.text
    for secret in (given, compute("12345", MEDIA), "12345", "67890"):
        assert secret not in caplog.text
        assert secret not in refusal.message


async def test_a_missing_signature_is_refused_on_loopback_too(request_from: Any) -> None:
    refusal = twilio_requests.may_stream(request_from("/v1/media", settings=SIGNED))
    assert refusal is not None
    assert "missing" in refusal.message
