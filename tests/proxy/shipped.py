"""The files of deploy/ as an operator takes them: only addresses, ports and paths are changed."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.process import ROOT

DEPLOY = ROOT / "deploy"
NAME = "media.example.net"
EXAMPLES = ("192.0.2.11:8080", "192.0.2.12:8080")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a proxy listens (`host:port`, with TLS and without), its servers, its certificate, a folder of its own."""

    tls: str
    plain: str
    metrics: str
    servers: tuple[str, ...]
    certificate: Path
    key: Path
    folder: Path


@dataclass(frozen=True, slots=True)
class ShippedFile:
    """A program, its flags, the file's text at a place, and the signal that makes it read its file again."""

    program: str
    flags: tuple[str, ...]
    text: Callable[[Place], str]
    reload: str = ""


def swapped(text: str, changes: Mapping[str, str]) -> str:
    """The text with each of these changed. Raises AssertionError for one that it lacks."""
    for old, new in changes.items():
        assert old in text, f"the file no longer has: {old}"
        text = text.replace(old, new)
    return text


def _haproxy(place: Place) -> str:
    both = place.folder / "both.pem"
    both.write_text(place.certificate.read_text() + place.key.read_text())
    file = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
    changes = {
        "bind :80 ": f"bind {place.plain} ",
        "bind :443 ssl crt /etc/haproxy/media.example.net.pem": f"bind {place.tls} ssl crt {both}",
        "bind 127.0.0.1:8405": f"bind {place.metrics}",
    }
    return _more_servers(swapped(file, changes | _servers(place)), place)


def _more_servers(text: str, place: Place) -> str:
    """As an operator would write them down: a line more for each, below that of the second."""
    more = "".join(f"\n  server more{number} {address}" for number, address in enumerate(place.servers[2:]))
    return re.sub(rf"(\n  server two {re.escape(place.servers[1])}.*)", rf"\1{more}", text)


def _nginx(place: Place) -> str:
    file = (DEPLOY / "nginx" / "transcriber.conf").read_text()
    changes = {
        "listen 80;": f"listen {place.plain};",
        "listen 443 ssl": f"listen {place.tls} ssl",
        "/etc/ssl/media.example.net.crt": str(place.certificate),
        "/etc/ssl/private/media.example.net.key": str(place.key),
        "/var/log/nginx/transcriber.log": f"{place.folder}/access.log",
    }
    spools = "".join(
        f"{kind}_temp_path {place.folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""
daemon off;
worker_processes 2;
pid {place.folder}/pid;
error_log {place.folder}/error.log;
events {{ worker_connections 1024; }}
http {{
{spools}
{swapped(file, changes | _servers(place))}
}}
"""


def _caddy(place: Place) -> str:
    file = (DEPLOY / "caddy" / "Caddyfile").read_text()
    host, _, plain_port = place.plain.rpartition(":")
    port = place.tls.rpartition(":")[2]
    changes = {f"\n{{$PUBLIC_HOST:{NAME}}} {{": f"\nhttps://:{port} {{\n\ttls {place.certificate} {place.key}\n"}
    options = f"{{\n\tadmin off\n\tdefault_bind {host}\n\thttp_port {plain_port}\n}}\n"
    return options + swapped(file, changes | _servers(place))


def _servers(place: Place) -> dict[str, str]:
    return dict(zip(EXAMPLES, place.servers, strict=False))


SHIPPED: Mapping[str, ShippedFile] = {
    "haproxy": ShippedFile("haproxy", ("-W", "-db", "-f", "{file}"), _haproxy, "SIGUSR2"),
    "nginx": ShippedFile("nginx", ("-e", "{folder}/early.log", "-p", "{folder}", "-c", "{file}"), _nginx, "SIGHUP"),
    "caddy": ShippedFile("caddy", ("run", "--config", "{file}", "--adapter", "caddyfile"), _caddy),
}
