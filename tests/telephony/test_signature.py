"""Twilio's signature: the published and recorded vectors, and the twilio package's own validator where it is right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from transcriber.telephony.twilio.signature import PublicAddress, candidates, compute, verify

TOKEN = "12345"
STATUS = {
    "AccountSid": "AC" + 32 * "0",
    "CallSid": "CA" + 32 * "1",
    "StreamSid": "MZ" + 32 * "2",
    "StreamName": "leg-a",
    "StreamEvent": "stream-started",
    "Timestamp": "2026-01-02T03:04:05.678Z",
}
JSON_URL = "https://media.example.net/cb?bodySHA256=015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
PUBLISHED = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675310",
    "Digits": "1234",
    "From": "+14158675310",
    "To": "+18005551212",
}

names = st.text(st.characters(codec="utf-8"), max_size=8)
forms = st.lists(st.tuples(names, names), max_size=6)
urls = st.builds(
    "https://{}{}{}".format,
    st.sampled_from(["media.example.net", "a.b"]),
    st.sampled_from(["", "/", "/cb", "/p%20q/é"]),
    st.sampled_from(["", "?x=1&y=a%2Fb"]),
)


@pytest.mark.parametrize(
    ("url", "params", "expected"),
    [
        ("https://example.com/myapp.php?foo=1&bar=2", PUBLISHED, "L/OH5YylLD5NRKLltdqwSvS0BnU="),
        ("wss://media.example.net/ingest", {}, "ggGyP98N3m1+ZVkYiC2Go3bGRj0="),
        ("wss://media.example.net/ingest/", {}, "fwXeMctuFZWFBeFU9ZDgPV/6ANY="),
        ("wss://media.example.net:8443/ingest", {}, "sr9jQvuLFRzCS63oBfNrKUvFvdY="),
        ("wss://media.example.net", {}, "0+bHKmsIhWTZWfroqQa28bOdMGM="),
        ("wss://media.example.net/", {}, "yogMK4XBlpLlBcrevotRYhd30NU="),
        ("https://media.example.net/status", STATUS, "xB5FVjD7xqFl41WqSKiMlwBoCjM="),
        (JSON_URL, {}, "Wnjuj/DVfldwOpHkubf0yyn9jUA="),
    ],
)
def test_the_known_vectors(url: str, params: dict[str, str], expected: str) -> None:
    assert compute(TOKEN, url, params.items()) == expected
    assert verify(expected, tokens=[TOKEN], urls=[url], params=params.items())


@given(url=urls, params=forms)
def test_computes_what_the_twilio_package_computes(url: str, params: list[tuple[str, str]]) -> None:
    assert compute(TOKEN, url, params) == RequestValidator(TOKEN).compute_signature(url, MultiDict(params))


@given(url=urls, params=forms, signed_params=forms)
def test_agrees_with_the_twilio_package_on_https_without_a_port(
    url: str, params: list[tuple[str, str]], signed_params: list[tuple[str, str]]
) -> None:
    signature = compute(TOKEN, url, signed_params)
    theirs = RequestValidator(TOKEN).validate(url, MultiDict(params), signature)
    assert verify(signature, tokens=[TOKEN], urls=[url], params=params) is bool(theirs)


@given(body=st.text(st.characters(codec="utf-8")), token=st.text(st.characters(codec="ascii"), min_size=1))
def test_agrees_with_the_twilio_package_on_json_bodies(body: str, token: str) -> None:
    validator = RequestValidator(token)
    url = f"https://media.example.net/cb?bodySHA256={validator.compute_hash(body)}"
    signature = validator.compute_signature(url, {})
    for received in (body, body + " "):
        ours = verify(signature, tokens=[token], urls=[url], body=received.encode())
        assert ours is bool(validator.validate(url, received, signature))


@pytest.mark.parametrize("signature", ["", "ggGyP98N3m1+ZVkYiC2Go3bGRj0", "ü", "\udcff", "x" * 10_000])
def test_a_wrong_signature_is_refused_without_an_error(signature: str) -> None:
    assert not verify(signature, tokens=[TOKEN], urls=["wss://media.example.net/ingest"])


def test_several_tokens_any_of_them_signs() -> None:
    url = "wss://media.example.net/ingest"
    for token in ("old", TOKEN):
        assert verify(compute(token, url), tokens=["old", TOKEN], urls=[url])
    assert not verify(compute("other", url), tokens=["old", TOKEN], urls=[url])
    assert not verify(compute("old", url), tokens=[], urls=[url])


def test_values_keep_their_white_space_and_every_field_counts() -> None:
    url = "https://media.example.net/status"
    signature = compute(TOKEN, url, [("a", " x ")])
    assert not verify(signature, tokens=[TOKEN], urls=[url], params=[("a", "x")])
    assert not verify(signature, tokens=[TOKEN], urls=[url], params=[("a", " x "), ("b", "")])
    assert verify(signature, tokens=[TOKEN], urls=[url], params=[("a", " x ")])


def test_a_body_without_its_hash_in_the_url_is_refused() -> None:
    url = "https://media.example.net/cb"
    assert not verify(compute(TOKEN, url), tokens=[TOKEN], urls=[url], body=b"{}")


def test_a_repeated_body_hash_is_refused() -> None:
    url = JSON_URL + "&" + JSON_URL.partition("?")[2]
    assert not verify(compute(TOKEN, url), tokens=[TOKEN], urls=[url], body=b'{"a":1}')


def test_bytes_of_a_path_that_are_no_utf8_are_signed_as_they_came() -> None:
    url = b"wss://h/\xff".decode("utf-8", "surrogateescape")
    assert verify(compute(TOKEN, url), tokens=[TOKEN], urls=[url])


@pytest.mark.parametrize(
    ("public", "target", "expected"),
    [
        ("https://h", "/v1/media", "h/v1/media h:443/v1/media h/v1/media/ h:443/v1/media/"),
        (
            "wss://h:8443/p/",
            "/m?x=1",
            "h:8443/p/m?x=1 h/p/m?x=1 h:443/p/m?x=1 h:8443/p/m/?x=1 h/p/m/?x=1 h:443/p/m/?x=1",
        ),
        ("https://[::1]:443", "/", "[::1]:443/ [::1]/ [::1]:443 [::1]"),
        ("https://u:p@h:", "/", "h/ h:443/ h h:443"),
    ],
)
def test_candidates_of_a_websocket(public: str, target: str, expected: str) -> None:
    found = candidates(PublicAddress.parse(public), target, scheme="wss")
    assert found == tuple(f"wss://{each}" for each in expected.split())


def test_candidates_of_a_webhook_keep_the_path() -> None:
    found = candidates(PublicAddress.parse("wss://h:8443/p"), "/cb?b=2&a=%20", scheme="https")
    assert found == ("https://h:8443/p/cb?b=2&a=%20", "https://h/p/cb?b=2&a=%20", "https://h:443/p/cb?b=2&a=%20")


@pytest.mark.parametrize("signed", ["wss://media.example.net/ingest", "wss://media.example.net:443/ingest/"])
def test_both_port_and_slash_variants_of_a_websocket_verify_unlike_with_the_package(signed: str) -> None:
    found = candidates(PublicAddress.parse("https://media.example.net"), "/ingest", scheme="wss")
    assert verify(compute(TOKEN, signed), tokens=[TOKEN], urls=found)
    assert not verify(compute(TOKEN, "wss://media.example.net:80/ingest"), tokens=[TOKEN], urls=found)


def test_an_address_spells_its_own_urls() -> None:
    assert PublicAddress.parse("https://h:8443/p/").url("wss", "/v1/media") == "wss://h:8443/p/v1/media"
