"""A Service of Kubernetes named `transcriber` describes itself to every pod in variables with our prefix."""

import dataclasses

import pytest

from transcriber.errors import ConfigError
from transcriber.settings import service_links
from transcriber.settings.definition import Settings, load_settings

LINKS = {
    "TRANSCRIBER_SERVICE_HOST": "10.96.0.7",
    "TRANSCRIBER_SERVICE_PORT": "8080",
    "TRANSCRIBER_SERVICE_PORT_HTTP": "8080",
    "TRANSCRIBER_PORT": "tcp://10.96.0.7:8080",
    "TRANSCRIBER_PORT_8080_TCP": "tcp://10.96.0.7:8080",
    "TRANSCRIBER_PORT_8080_TCP_PROTO": "tcp",
    "TRANSCRIBER_PORT_8080_TCP_PORT": "8080",
    "TRANSCRIBER_PORT_8080_TCP_ADDR": "10.96.0.7",
    "TRANSCRIBER_API_PORT": "udp://[fd00::7]:8080",
    "TRANSCRIBER_API_SERVICE_PORT_METRICS": "9464",
    "TRANSCRIBER_WEBHOOK_2_PORT_53_UDP_ADDR": "10.96.0.8",
}


def test_service_links_are_left_out_and_named() -> None:
    loaded = load_settings(environ=LINKS | {"TRANSCRIBER_HOST": "0.0.0.0"})
    assert loaded.settings == Settings(host="0.0.0.0")
    assert set(loaded.left_out) == set(LINKS)
    assert "enableServiceLinks: false" in service_links.notice(loaded.left_out)


def test_a_flag_gives_the_port_all_the_same() -> None:
    assert load_settings(environ=LINKS, flags={"port": "9000"}).settings.port == 9000


@pytest.mark.parametrize("name", ["TRANSCRIBER_SERVICE", "TRANSCRIBER_PORT_8080", "TRANSCRIBER_SERVICE_HOSTS"])
def test_what_only_resembles_them_is_a_mistake_as_ever(name: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown {name}"):
        load_settings(environ={name: "10.96.0.7"})


@pytest.mark.parametrize("text", ["tcp", "http://10.96.0.7:8080", "808O"])
def test_a_port_that_is_no_link_is_a_mistake_as_ever(text: str) -> None:
    with pytest.raises(ConfigError, match="must be a whole number"):
        load_settings(environ={"TRANSCRIBER_PORT": text})


def test_no_setting_looks_like_a_service_link() -> None:
    variables = {f"TRANSCRIBER_{item.name.upper()}": "1" for item in dataclasses.fields(Settings)}
    assert service_links.among(variables, "TRANSCRIBER_") == ()
