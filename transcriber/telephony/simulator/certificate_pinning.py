"""A server of our own is known by its certificate's file: it is reached at an address the certificate does not name."""

import re
import ssl
from hashlib import sha256
from pathlib import Path

from transcriber.errors import ConfigError

ANOTHER_CERTIFICATE = "another certificate than that of TRANSCRIBER_TLS_CERT: the settings are not those of this server"
_FIRST = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def fingerprint_of(cert: str) -> bytes:
    """SHA-256 of the first certificate in a PEM file. Raises ConfigError."""
    try:
        found = _FIRST.search(Path(cert).read_text())
        if found is not None:
            return sha256(ssl.PEM_cert_to_DER_cert(found[0])).digest()
        why = "it holds no certificate"
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
    raise ConfigError(f"TRANSCRIBER_TLS_CERT {cert} cannot be read: {why}")
