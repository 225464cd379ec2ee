"""Settings that could never match anything are refused, or written as what they are compared with."""

import ipaddress
from pathlib import Path
from typing import Any

import pytest

from tests.web.conftest import WebClient
from transcriber.cli.main import main
from transcriber.errors import ConfigError
from transcriber.settings import api_keys
from transcriber.settings.definition import load_settings

KEY = "k" * 32
SID = "AC" + "0123456789abcdef" * 2
PROJECT = "0a1b2c3d-0a1b-4a1b-8a1b-0a1b2c3d4e5f"


def loaded(name: str, value: str) -> Any:
    more = {"TRANSCRIBER_PUBLIC_URL": "https://x.example"} if name == "twilio_auth_token" else {}
    return getattr(load_settings(environ={f"TRANSCRIBER_{name.upper()}": value, **more}).settings, name)


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("https://desk.example.net", "https://desk.example.net"),
        ("https://desk.example.net/", "https://desk.example.net"),
        ("HTTPS://Desk.Example.NET", "https://desk.example.net"),
        ("https://desk.example.net:443", "https://desk.example.net"),
        ("http://desk.example.net:80/", "http://desk.example.net"),
        ("http://desk.example.net:443", "http://desk.example.net:443"),
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
        ("http://[0:0::1]:3000", "http://[::1]:3000"),
        ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"),
        ("null", "null"),
        ("https://other.example, https://desk.example.net/", "https://desk.example.net"),
    ],
)
async def test_an_origin_matches_however_it_is_written(web_client: WebClient, written: str, origin: str) -> None:
    client = await web_client(api_keys=(KEY,), cors_origins=loaded("cors_origins", written))
    answer = await client.get("/v1/calls", headers={"Origin": origin, "X-API-Key": KEY})
    assert answer.headers["Access-Control-Allow-Origin"] == origin


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("cors_origins", "desk.example.net", "https://desk.example.net"),
        ("cors_origins", "localhost:3000", "https://localhost:3000"),
        ("cors_origins", "https://desk.example.net/app", "path"),
        ("cors_origins", "https://desk.example.net?x=1", "query"),
        ("cors_origins", "https://*.example.net", "each"),
        ("cors_origins", "wss://desk.example.net", "http"),
        ("cors_origins", "https://desk.example.net:99999", "port"),
        ("cors_origins", "https://ada:pw@desk.example.net", "user"),
        ("cors_origins", "https://a.example https://b.example", "comma"),
        ("cors_origins", "https://", "host"),
        ("cors_origins", '"https://desk.example.net"', "quotes"),
        ("public_url", "https://media.example.net:0", "port"),
        ("public_url", "https://media example.net", "spaces"),
        ("public_url", '"https://media.example.net"', "quotes"),
        ("trusted_proxies", "10.0.0.1/8", "host bits"),
        ("trusted_proxies", "proxy.example.net", "address"),
        ("twilio_account_sid", "AC123", "32"),
        ("twilio_account_sid", "SK" + "0" * 32, "AC"),
        ("twilio_account_sid", SID[:-1] + "x", "32"),
        ("twilio_auth_token", "secret token", "spaces"),
        ("twilio_auth_token", "'secrettoken'", "quotes"),
        ("twilio_auth_token", "secret\u00fctoken", "ASCII"),
        ("api_keys", '"secretsecret"', "quotes"),
        ("api_keys", "Bearer secretsecret", "Bearer"),
        ("api_keys", "secret\nsecret", "line end"),
        ("api_keys", "raed=tk_secretsecret", "read, delete, admin"),
        ("host", "http://127.0.0.1", "address"),
        ("host", "127.0.0.1:8080", "PORT"),
        ("host", "*", "0.0.0.0"),
        ("twiml_then", "redirect:https://", "redirect"),
        ("data_dir", "", "folder"),
        ("data_dir", " ", "folder"),
    ],
)
def test_what_can_never_match_is_refused(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        loaded(name, value)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)
    monkeypatch.setenv(f"TRANSCRIBER_{name.upper()}", value)
    assert main(["check"]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("host", "[::1]", "::1"),
        ("host", "LocalHost", "localhost"),
        ("host", "", ""),
        ("twilio_account_sid", SID.upper(), (SID,)),
        ("twilio_account_sid", PROJECT.upper(), (PROJECT,)),
        ("api_keys", "c2VjcmV0==", ("c2VjcmV0==",)),
        ("cors_origins", "*", ("*",)),
        ("public_url", " https://media.example.net/in/ ", "https://media.example.net/in"),
        ("public_url", "wss://media.example.net/v1/media", "wss://media.example.net"),
        ("public_url", "https://media.example.net/in/v1/twiml/", "https://media.example.net/in"),
    ],
)
def test_what_is_written_otherwise_is_read_as_what_it_is_compared_with(name: str, value: str, expected: Any) -> None:
    assert loaded(name, value) == expected


def test_a_key_is_the_same_with_spaces_about_its_roles() -> None:
    [entry] = loaded("api_keys", f"read = {KEY}")
    assert api_keys.find_key(KEY, [api_keys.parse(entry)]) is not None


def test_networks_of_mapped_addresses_are_those_that_peers_have() -> None:
    [network] = loaded("trusted_proxies", "::ffff:10.0.0.0/104")
    assert ipaddress.ip_address("10.0.0.9") in ipaddress.ip_network(network)


def test_check_says_that_a_proxy_elsewhere_is_never_a_peer_on_loopback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRANSCRIBER_DATA_DIR", str(tmp_path))
    for proxies, wrong in (("10.0.0.0/8", 1), ("10.0.0.0/8,127.0.0.1", 0), ("::1", 1), ("0.0.0.0/0", 0)):
        monkeypatch.setenv("TRANSCRIBER_TRUSTED_PROXIES", proxies)
        assert main(["check"]) == wrong
        assert ("WRONG  proxies" in capsys.readouterr().out) == bool(wrong)
