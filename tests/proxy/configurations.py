"""Reverse proxies as their manuals show them at first: nothing is set that would tell the server about clients."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Configuration:
    """A program, its flags, and its file's text from (where it listens, where the server is, a folder of its own)."""

    program: str
    flags: tuple[str, ...]
    text: Callable[[str, str, Path], str]


def _nginx(more: str) -> Callable[[str, str, Path], str]:
    def text(listen: str, server: str, folder: Path) -> str:
        spools = "".join(
            f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return f"""
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  {spools}
  server {{
    listen {listen};
    location / {{
      proxy_pass http://{server};
      {more}
    }}
  }}
}}
"""

    return text


def _haproxy(mode: str, more: str = "") -> Callable[[str, str, Path], str]:
    def text(listen: str, server: str, folder: Path) -> str:
        return f"""
global
  maxconn 100
defaults
  mode {mode}
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  {more}
frontend in
  bind {listen}
  default_backend out
backend out
  server one {server}
"""

    return text


def _caddy(listen: str, server: str, folder: Path) -> str:
    port = listen.rpartition(":")[2]
    return f"""
{{
  admin off
  auto_https off
}}
http://:{port} {{
  reverse_proxy {server}
}}
"""


UPGRADE = 'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
_NGINX = ("-e", "{folder}/early.log", "-p", "{folder}", "-c", "{file}")
_HAPROXY = ("-db", "-f", "{file}")
CONFIGURATIONS: Mapping[str, Configuration] = {
    "nginx": Configuration("nginx", _NGINX, _nginx(UPGRADE)),
    "nginx without upgrades": Configuration("nginx", _NGINX, _nginx("")),
    "haproxy tcp": Configuration("haproxy", _HAPROXY, _haproxy("tcp")),
    "haproxy http": Configuration("haproxy", _HAPROXY, _haproxy("http")),
    "haproxy forwardfor": Configuration("haproxy", _HAPROXY, _haproxy("http", "option forwardfor")),
    "caddy": Configuration("caddy", ("run", "--config", "{file}", "--adapter", "caddyfile"), _caddy),
}
