"""A webhook's rules: signatures that the standard's library accepts, answers, delays."""

import base64
import time
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from transcriber.settings.signing_secret import key_of
from transcriber.webhooks.retry_policy import asked_delay_s, classify_status, retry_delay_s, wait_s
from transcriber.webhooks.signing import headers, message_id

secrets = st.binary(min_size=24, max_size=64).map(lambda key: "whsec_" + base64.b64encode(key).decode())


@given(secrets, secrets, st.text(st.characters(codec="utf-8")))
def test_either_secret_verifies_and_no_other(old: str, new: str, text: str) -> None:
    body = f'"{text}"'.encode()
    signed = headers([key_of(new), key_of(old)], identifier="CA1_7", at_s=int(time.time()), body=body)
    for secret in (old, new):
        Webhook(secret).verify(body, signed, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + base64.b64encode(b"another" * 5).decode()).verify(body, signed, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(body + b" ", signed, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(body, signed | {"webhook-id": "CA1_8"}, json_parse=False)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "c2VjcmV0" * 5, "whsec_not base64", "whsec_é"])
def test_a_weak_or_malformed_secret_is_not_quoted(secret: str) -> None:
    with pytest.raises(ValueError, match="openssl") as caught:
        key_of(secret)
    assert len(secret) < 7 or secret not in str(caught.value)


def test_an_identifier_has_no_dots() -> None:
    assert message_id("CA1", 7) == "CA1_7"
    assert "." not in message_id("my.call", 7)


def test_what_answers_mean() -> None:
    words = {status: classify_status(status) for status in range(100, 600)}
    assert {status for status, word in words.items() if word == "delivered"} == set(range(200, 300))
    assert {status for status, word in words.items() if word == "refused"} == {400, 413, 415, 422}
    assert {status for status, word in words.items() if word == "gone"} == {410}


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_delays_double_to_a_bound(attempts: int, chance: float) -> None:
    longest = min(300, 2 ** min(attempts - 1, 20))
    assert longest / 2 <= retry_delay_s(attempts, chance=chance) <= longest


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, 0),
        ("", 0),
        ("7", 7),
        (" 120 ", 120),
        ("99999999999999", 3600),
        ("9" * 5000, 3600),
        ("000000000060", 60),
        ("-5", 0),
        ("1.5", 0),
        ("²", 0),
        ("soon", 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Fri, 99 Foo 2026 99:99:99 GMT", 0),
    ],
)
def test_retry_after(given: str | None, expected: float) -> None:
    assert asked_delay_s(given, now_s=1_795_411_200) == expected


def test_retry_after_as_a_date() -> None:
    moment = datetime(2026, 11, 23, 5, 20, 30, tzinfo=UTC)
    assert asked_delay_s(format_datetime(moment, usegmt=True), now_s=moment.timestamp() - 30) == 30


def test_how_long_an_event_waited() -> None:
    assert wait_s("1970-01-01T00:00:10Z", now_s=12.5) == 2.5
    assert wait_s("1970-01-01T00:00:10Z", now_s=9) == 0
    assert wait_s("yesterday", now_s=9) is None
