"""What the text of a setting means. Each function raises ValueError that says what it must be."""

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from transcriber.settings import api_keys, web_origin
from transcriber.settings.signing_secret import key_of

QUOTES = "\"'"
TWILIO_PATHS = ("/v1/media", "/v1/twiml", "/v1/stream-status")
SHARED_CHANNELS = (
    "TRANSCRIBER_REDIS_URL names database {}, but Redis has its channels in common for all databases: another "
    "transcriber on it would hear these calls. set TRANSCRIBER_REDIS_PREFIX to a word of its own ({} only if there is "
    "no other)"
)
_ACCOUNT = re.compile(r"ac[0-9a-f]{32}")
_PROJECT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


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


def integer(least: int, most: int) -> Callable[[str], int]:
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


def comma_separated(value: str) -> tuple[str, ...]:
    """Several texts, comma-separated."""
    return tuple(part for part in (piece.strip() for piece in value.split(",")) if part)


def key_entries(value: str) -> tuple[str, ...]:
    """API keys, comma-separated, as `settings.api_keys` reads them."""
    found = comma_separated(value)
    for number, key in enumerate(found, 1):
        try:
            _unquoted(key)
            api_keys.parse(key)
        except ValueError as error:
            raise ValueError(f"key {number}: {error}") from None
    return found


def auth_tokens(value: str) -> tuple[str, ...]:
    """Auth tokens, comma-separated."""
    found = comma_separated(value)
    for token in found:
        if not _unquoted(token).isascii() or " " in token:
            raise ValueError("a token consists of ASCII characters without spaces; part several by commas")
    return found


def account_sids(value: str) -> tuple[str, ...]:
    """AccountSids of Twilio, or project ids of those who speak its protocol, comma-separated, as these send them."""
    found = [account.lower() for account in comma_separated(value)]
    for account in found:
        if not (_ACCOUNT.fullmatch(account) or _PROJECT.fullmatch(account)):
            raise ValueError("an AccountSid is AC and 32 hexadecimal digits (elsewhere a project's UUID)")
    return tuple(account.replace("ac", "AC", 1) if _ACCOUNT.fullmatch(account) else account for account in found)


def origins(value: str) -> tuple[str, ...]:
    """Origins of web pages, comma-separated, as browsers send them; `*`: any."""
    return tuple(web_origin.parse(one) for one in comma_separated(value))


def address(value: str) -> str:
    """An address or name to listen on; empty: all of IPv4."""
    found = value.strip().lower()
    if found.startswith("[") and found.endswith("]"):
        found = found[1:-1]
    if found == "*":
        raise ValueError("all addresses are 0.0.0.0 (or ::)")
    if any(c.isspace() or c in "/" + QUOTES for c in found):
        raise ValueError("must be an address or a name, and nothing else")
    if ":" in found:
        try:
            ipaddress.IPv6Address(found)
        except ValueError:
            raise ValueError("must be an address without a port: that is TRANSCRIBER_PORT") from None
    return found


def _unquoted(value: str) -> str:
    """Some programs read `NAME="value"` with its quotes, and files may hold several lines."""
    if len(value) > 1 and value[0] == value[-1] and value[0] in QUOTES:
        raise ValueError("stands in quotes, which would count as part of it")
    if not value.isprintable():
        raise ValueError("holds a line end, a tab or another character besides letters, digits, signs and spaces")
    return value


def networks(value: str) -> tuple[str, ...]:
    """Addresses and networks (10.0.0.0/8), comma-separated."""
    found = []
    for one in comma_separated(value):
        try:
            network = ipaddress.ip_network(one)
        except ValueError as error:
            raise ValueError(f"{error}: write addresses or networks such as 10.0.0.0/8") from None
        found.append(_unmapped(network))
    return tuple(found)


def _unmapped(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    """IPv4 addresses that are written as IPv6 (`::ffff:…`), as the IPv4 network that peers are compared with."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    return f"{mapped}/{network.prefixlen - 96}" if mapped and network.prefixlen >= 96 else str(network)


def file_path(value: str) -> str:
    """A file's path, made absolute, or nothing."""
    return str(Path(value.strip()).expanduser().absolute()) if value.strip() else ""


def signing_secrets(value: str) -> tuple[str, ...]:
    """Secrets of a webhook, comma-separated."""
    found = comma_separated(value)
    for secret in found:
        key_of(secret)
    return found


def directory(value: str) -> Path:
    """A path, made absolute."""
    if not value.strip():
        raise ValueError("must name a folder: empty, it would be whatever folder the server was started in")
    return Path(value).expanduser().absolute()


def public_url(value: str) -> str:
    """The address Twilio dials."""
    found = value.strip().rstrip("/")
    if not found:
        return ""
    try:
        url = urlsplit(found)
        good = url.scheme in ("https", "wss") and url.hostname and url.port != 0
    except ValueError:
        good = False  # its own words may quote a password
    if not good or url.query or url.fragment or url.username or any(c.isspace() or c in QUOTES for c in found):
        raise ValueError(
            "must look like https://host[:port][/prefix]: https or wss, no query, no user, no spaces or quotes"
        )
    # The addresses below it, by which some people know the server: signatures would look for them twice.
    return next((found.removesuffix(path).rstrip("/") for path in TWILIO_PATHS if found.endswith(path)), found)


def http_url(value: str) -> str:
    """An HTTP address, or nothing."""
    if value.strip() and not _is_http_url(value.strip()):
        raise ValueError("must be an http or https URL")
    return value.strip().rstrip("/")


def listen_address(value: str) -> str:
    """HOST:PORT, with an IPv6 host in brackets, or nothing."""
    if not value.strip():
        return ""
    try:
        address = urlsplit(f"//{value.strip()}")
        good = (
            address.hostname and address.port is not None and address.netloc == value.strip() and not address.username
        )
    except ValueError:
        good = False
    if not good:
        raise ValueError("must be HOST:PORT, such as 127.0.0.1:9464 or [::1]:9464, the port a number to 65535")
    return value.strip()


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def continuation(value: str) -> str:
    """What follows in the TwiML."""
    kind, _, argument = value.strip().partition(":")
    known = {
        "dial": bool(argument),
        "redirect": _is_http_url(argument),
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
