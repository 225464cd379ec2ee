"""A client of a server's HTTP API: the flags that name the server, requests, and errors worded for the user."""

import argparse
import json
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit, urlunsplit

import aiohttp

from transcriber.errors import (
    BadRequest,
    CallIsLive,
    CallNotFound,
    ConfigError,
    ServerUnreachable,
    TranscriberError,
)
from transcriber.settings import api_keys, local_key, secret_file
from transcriber.settings.definition import Settings, load_settings
from transcriber.settings.sources import IN_THE_PROCESS_LIST
from transcriber.telephony.simulator.certificate_pinning import ANOTHER_CERTIFICATE, fingerprint_of
from transcriber.telephony.simulator.client import MEDIA_PATH
from transcriber.telephony.simulator.private_authority import context_of, not_trusted

CONNECT_WITHIN_S = 10
ANSWER_WITHIN_S = 60
LONG_ANSWER_WITHIN_S = 30.0
"""For answers before which the server asks Twilio."""


class ConnectionLost(ServerUnreachable):
    """The connection broke in the middle of an answer: asking again may help."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where the HTTP API is (`http(s)://host[:port][/prefix]`) and the key it wants.

    `ours`: the settings are about this server, so that it may see their key. `fingerprint`: SHA-256 of the only
    certificate that is taken for the server's; without it a common TLS check, by the `authority` if there is one.
    """

    url: str
    api_key: str | None = None
    ours: bool = True
    fingerprint: bytes | None = None
    authority: ssl.SSLContext | None = None


def add_config_flag(parser: argparse.ArgumentParser) -> None:
    """`--config FILE`."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="TOML file with settings")


def add_flags(parser: argparse.ArgumentParser, *, key_flag: bool = False) -> None:
    """The flags of every command that talks to a server. `key_flag`: the key may be one of them, as it always could."""
    parser.add_argument("--url", help="the server (default: this machine's, by the settings)")
    parser.add_argument(
        "--ca-file",
        metavar="FILE",
        type=Path,
        help="PEM file of the authority that vouches for the server's certificate",
    )
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument(
        "--api-key-file",
        metavar="FILE",
        type=Path,
        help="file with the key for the server (default, for this machine's server: the first of API_KEYS or its own)",
    )
    about = "the key, which stands in the process list for every user of this machine to see: rather --api-key-file"
    keys.add_argument("--api-key", metavar="K", help=about if key_flag else argparse.SUPPRESS)
    parser.set_defaults(key_flag=key_flag)
    add_config_flag(parser)


def find_server(args: argparse.Namespace) -> tuple[Server, Settings]:
    """The server the flags or the settings name. Raises ConfigError."""
    settings = load_settings(config=args.config).settings
    if args.url is None and settings.port == 0:
        raise ConfigError("port 0 in the settings means any free one: say with --url where the server is")
    local_url = _base_url(settings.local_url)
    url = _base_url(args.url) if args.url else local_url
    ours = url in (local_url, settings.public_url and _base_url(settings.public_url))
    here = url == local_url
    key = _given_key(args) or (_own_key(settings, here=here) if ours else None)
    if ca_file := getattr(args, "ca_file", None):
        return Server(url, key, ours, authority=context_of(ca_file)), settings
    return Server(url, key, ours, fingerprint_of(settings.tls_cert) if here and settings.tls_cert else None), settings


def _given_key(args: argparse.Namespace) -> str | None:
    if args.api_key and not args.key_flag:
        raise ConfigError(f"--api-key: {IN_THE_PROCESS_LIST}; give --api-key-file FILE, or set TRANSCRIBER_API_KEYS")
    if args.api_key_file is None:
        return args.api_key or None
    try:
        return secret_file.read(args.api_key_file).strip()
    except ValueError as error:
        raise ConfigError(f"--api-key-file: {error}") from None


def _own_key(settings: Settings, *, here: bool) -> str | None:
    """The settings' first key that may do everything, else their first; hashes cannot be shown to a server.

    Without any, the one that the server has made for itself, shown only to this machine's own address.
    """
    if settings.api_keys:
        keys = [key for key in map(api_keys.parse, settings.api_keys) if key.plain]
        return next((key.plain for key in sorted(keys, key=lambda key: key.roles != api_keys.Role.ADMIN)), None)
    return local_key.find(settings.data_dir) if here and _is_this_machine(settings.local_url) else None


def _is_this_machine(url: str) -> bool:
    """Whether the host is an address of ours: one that can be bound. A machine may have had another one once."""
    host = urlsplit(url).hostname or ""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as trial:
            trial.bind((host, 0))
    except OSError:
        return False
    return True


def call_path(call_sid: str, *rest: str) -> str:
    """The API path of a call or of something below it. Raises BadRequest for what no call can be named."""
    if not call_sid[:1].isalnum() or not call_sid.isprintable():
        raise BadRequest("CALL_SID must begin with a letter or digit, as `transcriber calls` lists it")
    return "/".join(["/v1/calls", quote(call_sid, safe=""), *rest])


class Connection:
    """An HTTP client of one server. Every method raises ServerUnreachable, CallNotFound, CallIsLive or BadRequest."""

    def __init__(self, server: Server) -> None:
        self.server = server
        headers = {"Authorization": f"Bearer {server.api_key}"} if server.api_key else {}
        self._tls = aiohttp.Fingerprint(server.fingerprint) if server.fingerprint else server.authority or True
        self._session = aiohttp.ClientSession(headers=headers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def json(self, path: str, *, params: Mapping[str, str] | None = None) -> Any:
        """GET, parsed."""
        text = await self.text(path, params=params)
        try:
            return json.loads(text)
        except ValueError:
            raise ServerUnreachable(f"{self.server.url} did not answer with JSON: is it a transcriber?") from None

    async def text(self, path: str, *, params: Mapping[str, str] | None = None) -> str:
        """GET, as it comes."""
        async with self.request("GET", path, params=params) as response:
            return (await response.read()).decode("utf-8", "replace")

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST of JSON, the answer parsed."""
        async with self.request("POST", path, json_body=body, answer_s=LONG_ANSWER_WITHIN_S) as response:
            return json.loads(await response.read())

    async def delete(self, path: str) -> None:
        """DELETE."""
        async with self.request("DELETE", path) as response:
            await response.read()

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json_body: Mapping[str, Any] | None = None,
        answer_s: float | None = ANSWER_WITHIN_S,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A request whose answer is read inside the block, in `answer_s` seconds at most (None: no bound)."""
        timeout = aiohttp.ClientTimeout(total=answer_s, sock_connect=CONNECT_WITHIN_S)
        url = self.server.url + path
        try:
            async with self._session.request(
                method, url, params=params, headers=headers, json=json_body, timeout=timeout, ssl=self._tls
            ) as response:
                if response.status >= 400:
                    raise await self._refusal(response)
                yield response
        except aiohttp.ServerFingerprintMismatch:
            raise ServerUnreachable(f"{self.server.url} shows {ANOTHER_CERTIFICATE}") from None
        except aiohttp.ClientConnectorError as error:
            if distrust := not_trusted(self.server.url, error.os_error):
                raise ServerUnreachable(distrust) from None
            why = error.os_error.strerror or str(error)
            raise ServerUnreachable(
                f"no server answers at {self.server.url} ({why}): start `transcriber serve`, or name one with --url"
            ) from None
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise ConfigError(f"--url {self.server.url}: {error}") from None
        except TimeoutError:
            raise ServerUnreachable(f"{self.server.url} does not answer in time") from None
        except aiohttp.ClientError as error:
            raise ConnectionLost(f"the connection to {self.server.url} broke ({error})") from None

    async def _refusal(self, response: aiohttp.ClientResponse) -> TranscriberError:
        """The error a refused request becomes, with the server's own words."""
        body = (await response.content.read(65536)).decode("utf-8", "replace")
        try:
            message = str(json.loads(body)["error"]["message"])
        except (ValueError, KeyError, TypeError):
            return ServerUnreachable(f"{self.server.url} answered {response.status} {response.reason}")
        match response.status:
            case 401 | 403:
                return ServerUnreachable(f"{message} (give --api-key-file or set TRANSCRIBER_API_KEYS)")
            case 404:
                return CallNotFound(message)
            case 409:
                return CallIsLive(message)
            case 400 | 422:
                return BadRequest(message)
        return ServerUnreachable(f"{self.server.url} answered {response.status}: {message}")


def _base_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
        good = scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ConfigError(f"--url {url}: must look like http://host:port (http, https, ws or wss)")
    path = parts.path.rstrip("/").removesuffix(MEDIA_PATH)
    return urlunsplit((scheme, parts.netloc, path, "", ""))
