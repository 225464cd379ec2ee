"""Who asks too often is told when to come back; who shows a good key or signature is not held up by strangers."""

from collections.abc import Mapping

import pytest

from tests.web.conftest import Client, WebClient
from transcriber.telephony.twilio.signature import compute
from transcriber.web.services import Services

KEYS = {"api_keys": ("first-key", "second-key"), "rate_per_key": 5, "rate_per_address": 4}
TOKEN, PUBLIC = "12345", "https://media.example.net"
SIGNED = {"twilio_auth_token": (TOKEN,), "public_url": PUBLIC, "rate_per_address": 3}
FORM = {"CallSid": "CA1"}


async def statuses(client: Client, path: str, times: int, headers: Mapping[str, str] | None = None) -> list[int]:
    return [(await client.get(path, headers=headers)).status for _ in range(times)]


async def test_a_key_has_a_budget_of_its_own(web_client: WebClient, services: Services) -> None:
    client = await web_client(**KEYS)
    assert await statuses(client, "/v1/calls", 6, {"X-API-Key": "first-key"}) == [200] * 5 + [429]
    assert await statuses(client, "/v1/calls", 1, {"X-API-Key": "second-key"}) == [200]
    answer = await client.get("/v1/calls", headers={"X-API-Key": "first-key"})
    assert 1 <= int(answer.headers["Retry-After"]) <= 12
    error = (await answer.json())["error"]
    assert error["code"] == "too_many"
    assert "TRANSCRIBER_RATE_PER_KEY" in error["message"]
    assert services.metrics.registry.get_sample_value("transcriber_refusals_total", {"status": "429"}) == 2


async def test_strangers_share_their_addresss_budget_and_health_costs_nothing(web_client: WebClient) -> None:
    client = await web_client(**KEYS)
    for path in ("/healthz", "/readyz", "/metrics"):
        assert await statuses(client, path, 20) == [200] * 20
    assert await statuses(client, "/v1/calls", 3, {"X-API-Key": "guess"}) == [401] * 3
    assert await statuses(client, "/nothing", 2) == [404, 429]
    assert await statuses(client, "/", 1) == [429]
    assert await statuses(client, "/metrics", 1) == [200]
    assert await statuses(client, "/v1/calls", 1, {"X-API-Key": "first-key"}) == [200]


async def test_without_keys_this_machine_is_not_counted(web_client: WebClient) -> None:
    client = await web_client(rate_per_address=2)
    assert await statuses(client, "/v1/calls", 20) == [200] * 20


async def test_zero_is_no_limit(web_client: WebClient) -> None:
    client = await web_client(**KEYS | {"rate_per_key": 0, "rate_per_address": 0})
    assert await statuses(client, "/v1/calls", 20, {"X-API-Key": "first-key"}) == [200] * 20
    assert await statuses(client, "/v1/calls", 20) == [401] * 20


async def test_twilio_is_let_in_however_often_strangers_were_refused(web_client: WebClient) -> None:
    client = await web_client(**SIGNED)
    good = {"X-Twilio-Signature": compute(TOKEN, f"{PUBLIC}/v1/twiml", FORM.items())}
    asked = [(await client.post("/v1/twiml", data=FORM)).status for _ in range(5)]
    assert asked == [403, 403, 403, 429, 429]
    assert [(await client.post("/v1/twiml", data=FORM, headers=good)).status for _ in range(10)] == [200] * 10
    assert await statuses(client, "/v1/media", 1, {"Upgrade": "websocket"}) == [429]


async def test_a_loud_stranger_is_not_logged_for_ever(web_client: WebClient, caplog: pytest.LogCaptureFixture) -> None:
    client = await web_client(**SIGNED)
    for _ in range(50):
        await client.post("/v1/twiml", data=FORM)
    assert caplog.text.count("X-Twilio-Signature is missing") == 3


@pytest.mark.parametrize(
    ("proxies", "forwarded", "asked"),
    [
        ((), ("203.0.113.1", "203.0.113.2"), [401, 401, 401, 401, 429, 429]),
        (("127.0.0.1",), ("203.0.113.1", "203.0.113.2"), [401] * 6),
        (("127.0.0.1",), ("1.1.1.1, 203.0.113.1", "2.2.2.2, 203.0.113.1"), [401, 401, 401, 401, 429, 429]),
        (("127.0.0.0/8", "10.0.0.0/8"), ("203.0.113.1, 10.0.0.9", "203.0.113.2, 10.0.0.9"), [401] * 6),
        (("127.0.0.1",), ("2001:db8::1", "2001:db8::ffff"), [401, 401, 401, 401, 429, 429]),
        (("127.0.0.1",), ("nonsense", "203.0.113.1, nonsense"), [401, 401, 401, 401, 429, 429]),
    ],
)
async def test_only_trusted_proxies_say_whom_they_speak_for(
    web_client: WebClient, proxies: tuple[str, ...], forwarded: tuple[str, str], asked: list[int]
) -> None:
    client = await web_client(**KEYS, trusted_proxies=proxies)
    found = [(await statuses(client, "/v1/calls", 1, {"X-Forwarded-For": forwarded[n % 2]}))[0] for n in range(6)]
    assert found == asked
