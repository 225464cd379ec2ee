"""When a certificate ends: the one field that the standard library does not tell of a certificate of our own."""

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

VERSION, UTC_TIME, GENERALIZED_TIME = 0xA0, 0x17, 0x18
"""Tags of DER."""
CENTURY_AT = 50
"""A UTCTime with a smaller year lies in the 21st century (RFC 5280, section 4.1.2.5.1)."""
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def expiry_s(pem: str) -> float:
    """Epoch seconds at which the first certificate of a PEM file ends (`notAfter`). Raises ValueError."""
    found = _PEM.search(pem)
    if found is None:
        raise ValueError("no certificate that can be read: not PEM")
    try:
        _, certificate = next(_elements(ssl.PEM_cert_to_DER_cert(found[0])))
        _, to_be_signed = next(_elements(certificate))
        fields = [content for tag, content in _elements(to_be_signed) if tag != VERSION]
        _serial, _algorithm, _issuer, validity, *_ = fields
        _, (tag, text) = _elements(validity)
        return _moment(tag, text.decode("ascii"))
    except (StopIteration, IndexError, ValueError) as error:
        raise ValueError("no certificate that can be read") from error


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements that follow one another: tag and content. Raises IndexError."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            octets = length & 0x7F
            length = int.from_bytes(der[at : at + octets])
            at += octets
        if at + length > len(der):
            raise IndexError(at)
        yield tag, der[at : at + length]
        at += length


def _moment(tag: int, text: str) -> float:
    if tag == UTC_TIME:
        text = ("20" if int(text[:2]) < CENTURY_AT else "19") + text
    elif tag != GENERALIZED_TIME:
        raise ValueError("no time in DER")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
