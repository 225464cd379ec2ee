"""A web page's origin as browsers write it into the Origin header (RFC 6454). Pure."""

import ipaddress
from urllib.parse import urlsplit

ANY, OPAQUE = "*", "null"
USUAL_PORTS = {"http": 80, "https": 443}
SCHEMES_WITHOUT_ORIGIN = frozenset({"ws", "wss", "file", "ftp", "data", "blob", "about"})
"""Schemes whose pages have no origin, or are no pages."""


def parse(text: str) -> str:
    """The origin as a browser sends it: lower case, no port that goes without saying, no slash. `*` and `null` stay.

    Raises ValueError that says what no browser would ever send.
    """
    if text in (ANY, OPAQUE):
        return text
    if any(c.isspace() or c in "\"'" for c in text):
        raise ValueError(f"{text!r}: leave quotes out, and part origins by a comma")
    if "://" not in text:
        raise ValueError(f"{text!r} is no origin: write its scheme too, as in https://{text}")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("an origin must look like https://host or https://host:port, the port at most 65535") from None
    _refuse_non_origin(text.rpartition("@")[2], bool(parts.username or parts.password), parts.scheme, host, port)
    for name, found in (("path", parts.path.rstrip("/")), ("query", parts.query), ("fragment", parts.fragment)):
        if found:
            raise ValueError(f"{parts.scheme}://{host} has a {name} behind it, which no origin has: leave it out")
    shown = "" if port is None or USUAL_PORTS.get(parts.scheme) == port else f":{port}"
    return f"{parts.scheme}://{_canonical_host(host)}{shown}"


def _refuse_non_origin(shown: str, user: bool, scheme: str, host: str, port: int | None) -> None:
    if user:
        raise ValueError(f"an origin has no user or password: write {scheme}://{host}")
    if scheme in SCHEMES_WITHOUT_ORIGIN:
        raise ValueError(f"{shown!r}: pages come by http or https, so no origin begins with {scheme}")
    if not host or port == 0:
        raise ValueError(f"{shown!r} names no host, or no port that there is: an origin looks like https://host:port")
    if "*" in host:
        raise ValueError(f"{shown!r}: there are no wildcards; name each origin, or write * alone for any")


def _canonical_host(host: str) -> str:
    """A name in ASCII, an IPv6 address as short as it goes and in brackets."""
    if ":" in host:
        return f"[{ipaddress.IPv6Address(host).compressed}]"
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        raise ValueError(f"{host!r} is no host name") from None
