"""`transcriber health`: is the server of these settings alive? For the health checks of containers.

A container's health check runs every few seconds, so this imports neither aiohttp nor a model's libraries.
"""

import argparse
import http.client
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from transcriber.cli.command import Subparsers, add_command
from transcriber.errors import ConfigError, ServerUnreachable
from transcriber.settings.definition import load_settings

PATH = "/healthz"
ANSWER_WITHIN_S = 5.0


def add(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = add_command(
        subparsers,
        "health",
        run=run,
        summary="ask this machine's server whether it is alive; exit status 1 when it is not",
        examples="""
            transcriber health
            transcriber health --config /etc/transcriber.toml
        """,
    )
    parser.add_argument("--config", metavar="FILE", type=Path, help="TOML file with settings")


def run(args: argparse.Namespace) -> int:
    """One line on stdout when the server answers 200. Raises ConfigError, ServerUnreachable."""
    settings = load_settings(config=args.config).settings
    if settings.port == 0:
        raise ConfigError("port 0 in the settings means any free one: where the server is cannot be known")
    url = settings.local_url
    status = _status(url)
    if status != http.client.OK:
        raise ServerUnreachable(f"{url}{PATH} answered {status}")
    print(f"alive: {url}{PATH} answered {status}")
    return 0


def _status(url: str) -> int:
    """HTTP status of the answer. Raises ServerUnreachable."""
    connection = _connection(url)
    try:
        connection.request("GET", PATH)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise ServerUnreachable(f"no server answers at {url} ({error or type(error).__name__})") from None
    finally:
        connection.close()


def _connection(url: str) -> http.client.HTTPConnection:
    """The certificate is not verified: it names the public host, not this address, and nothing secret is sent."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 0
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=ANSWER_WITHIN_S)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=ANSWER_WITHIN_S, context=context)
