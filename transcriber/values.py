"""What the text of a setting means. Each function raises ValueError that says what it must be."""

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from transcriber.core import api_keys
from transcriber.core.webhook import key_of


def text(value: str) -> str:
    """Any text."""
    return value.strip()


def choice(*allowed: str) -> Callable[[str], str]:
    """One of these words."""

    def parse(value: str) -> str:
        found = value.strip().lower()
        if found not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return found

    return parse


def whole(least: int, most: int) -> Callable[[str], int]:
    """A whole number between these."""

    def parse(value: str) -> int:
        if not re.fullmatch("-?[0-9]{1,18}", value.strip()):
            raise ValueError(f"must be a whole number from {least} to {most}")
        number = int(value)
        if not least <= number <= most:
            raise ValueError(f"must be between {least} and {most}")
        return number

    return parse


def flag(value: str) -> bool:
    """A switch."""
    match value.strip().lower():
        case "1" | "true" | "yes" | "on":
            return True
        case "0" | "false" | "no" | "off" | "":
            return False
    raise ValueError("must be 1 or 0 (true, false, yes, no, on, off)")


def several(value: str) -> tuple[str, ...]:
    """Several texts, comma-separated."""
    return tuple(part for part in (piece.strip() for piece in value.split(",")) if part)


def keys(value: str) -> tuple[str, ...]:
    """API keys, comma-separated, as `core.api_keys` reads them."""
    found = several(value)
    for number, key in enumerate(found, 1):
        try:
            api_keys.parse(key)
        except ValueError as error:
            raise ValueError(f"key {number}: {error}") from None
    return found


def networks(value: str) -> tuple[str, ...]:
    """Addresses and networks (10.0.0.0/8), comma-separated."""
    found = several(value)
    for network in found:
        ipaddress.ip_network(network)
    return found


def file(value: str) -> str:
    """A file's path, made absolute, or nothing."""
    return str(Path(value.strip()).expanduser().absolute()) if value.strip() else ""


def signing_secrets(value: str) -> tuple[str, ...]:
    """Secrets of a webhook, comma-separated."""
    found = several(value)
    for secret in found:
        key_of(secret)
    return found


def folder(value: str) -> Path:
    """A path, made absolute."""
    return Path(value).expanduser().absolute()


def public_url(value: str) -> str:
    """The address Twilio dials."""
    if not value.strip():
        return ""
    url = urlsplit(value.strip())
    if url.scheme not in ("https", "wss") or not url.hostname or url.query or url.fragment or url.username:
        raise ValueError("must look like https://host[:port][/prefix] (https or wss, no query)")
    _ = url.port  # raises ValueError on a malformed one
    return value.strip().rstrip("/")


def http_url(value: str) -> str:
    """An HTTP address, or nothing."""
    if value.strip() and not (urlsplit(value.strip()).scheme in ("http", "https") and urlsplit(value.strip()).hostname):
        raise ValueError("must be an http or https URL")
    return value.strip().rstrip("/")


def listen_address(value: str) -> str:
    """HOST:PORT, with an IPv6 host in brackets, or nothing."""
    if not value.strip():
        return ""
    address = urlsplit(f"//{value.strip()}")
    if not address.hostname or address.port is None or address.netloc != value.strip() or address.username:
        raise ValueError("must be HOST:PORT, such as 127.0.0.1:9464 or [::1]:9464")
    return value.strip()


def continuation(value: str) -> str:
    """What follows in the TwiML."""
    kind, _, argument = value.strip().partition(":")
    known = {
        "dial": bool(argument),
        "redirect": argument.startswith(("http://", "https://")),
        "pause": re.fullmatch("[0-9]{1,9}", argument) is not None,
    }
    if not known.get(kind, False):
        raise ValueError("must be dial:NUMBER, redirect:URL or pause:SECONDS")
    return value.strip()


def redis_database(url: str) -> int:
    """The database that a Redis URL names; 0 also of a malformed one, which whoever connects says."""
    try:
        parts = urlsplit(url)
        path, asked = unquote(parts.path).strip("/"), dict(parse_qsl(parts.query)).get("db")
        match parts.scheme:
            case "redis" | "rediss":
                return int(asked or path or 0)
            case "unix":
                return int(asked or 0)
            case "redis+sentinel" | "rediss+sentinel":
                return int(path.partition("/")[2] or 0)
    except ValueError:
        pass
    return 0
