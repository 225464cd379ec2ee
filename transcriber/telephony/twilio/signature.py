"""X-Twilio-Signature: how Twilio signs a request, and which addresses of ours it may have signed. Pure."""

import base64
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha1, sha256
from typing import Literal
from urllib.parse import parse_qs, urlsplit

Scheme = Literal["wss", "https"]


@dataclass(frozen=True, slots=True)
class PublicAddress:
    """Where the world reaches this server: host as written, explicit port, path prefix without a slash at its end."""

    host: str
    port: int | None
    prefix: str

    @classmethod
    def parse(cls, url: str) -> "PublicAddress":
        """Split a URL such as `https://media.example.net:8443/prefix`; user and password are dropped. ValueError."""
        parts = urlsplit(url)
        netloc = parts.netloc.rpartition("@")[2]
        host = netloc.removesuffix(":") if parts.port is None else netloc.rpartition(":")[0]
        return cls(host, parts.port, parts.path.rstrip("/"))

    def url(self, scheme: str, target: str) -> str:
        """The address of `target` (path and query as sent) as Twilio is told it."""
        port = "" if self.port is None else f":{self.port}"
        return f"{scheme}://{self.host}{port}{self.prefix}{target}"


def compute(token: str, url: str, params: Iterable[tuple[str, str]] = ()) -> str:
    """The signature of a request: base64 of HMAC-SHA1 over the URL and the sorted form fields.

    Of a repeated name every distinct value counts once. For GET and for JSON bodies `params` stays empty.
    """
    return _signature(token, url + _signed_fields(params))


def _signed_fields(params: Iterable[tuple[str, str]]) -> str:
    return "".join(name + value for name, value in sorted(set(params)))


def _signature(token: str, signed: str) -> str:
    # surrogateescape: bytes of a request line or a form that were no UTF-8 go into the sum as they came.
    digest = hmac.new(token.encode(), signed.encode("utf-8", "surrogateescape"), sha1).digest()
    return base64.b64encode(digest).decode("ascii")


def candidates(address: PublicAddress, target: str, *, scheme: Scheme) -> tuple[str, ...]:
    """Every URL Twilio may have signed for `target` (path and query as sent, never re-encoded), likeliest first.

    The port may be left out, be 443 or be the configured one; for a WebSocket (`wss`) the path may have lost or won
    a slash at its end. The SDKs' own list is wrong for wss (they add port 80), so it is not used.
    """
    ports = dict.fromkeys(("" if address.port is None else f":{address.port}", "", ":443"))
    path, question, query = (address.prefix + target).partition("?")
    paths = [path]
    if scheme == "wss":
        paths.append(path.removesuffix("/") if path.endswith("/") else f"{path}/")
    return tuple(f"{scheme}://{address.host}{port}{each}{question}{query}" for each in paths for port in ports)


def verify(
    signature: str,
    *,
    tokens: Sequence[str],
    urls: Sequence[str],
    params: Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
) -> bool:
    """Whether any of `tokens` signed any of `urls`; takes as long whichever it was.

    `params`: the form fields of a form POST, in any order. `body`: the raw body of a POST that is no form; then the
    URL must carry its `bodySHA256`, and without one the answer is False.
    """
    given = signature.encode("utf-8", "replace")
    fields = "" if body is not None else _signed_fields(params)
    matched = False
    for url in urls:
        intact = body is None or _hash_matches(url, body)
        for token in tokens:
            right = hmac.compare_digest(_signature(token, url + fields).encode("ascii"), given)
            matched |= right and intact
    return matched


def _hash_matches(url: str, body: bytes) -> bool:
    hashes = parse_qs(urlsplit(url).query).get("bodySHA256", [])
    wanted = sha256(body).hexdigest().encode("ascii")
    return len(hashes) == 1 and hmac.compare_digest(wanted, hashes[0].encode("utf-8", "replace"))
