"""Servers whose certificates a company's own authority has signed, and what is said of one that nobody vouches for."""

import ssl
from pathlib import Path

from transcriber.errors import ConfigError


def context_of(ca_file: Path) -> ssl.SSLContext:
    """Trusts the certificates in a PEM file, and nobody else. Raises ConfigError."""
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except ssl.SSLError:
        why = "it holds no certificate in PEM form"
    except OSError as error:
        why = error.strerror or str(error)
    raise ConfigError(f"--ca-file {ca_file} cannot be used: {why}")


def not_trusted(url: str, error: OSError) -> str | None:
    """What is wrong with the certificate that the server at `url` shows; None: the error is about something else."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return None
    return (
        f"the certificate of {url} is not trusted ({error.verify_message}): name its authority with --ca-file FILE, or "
        "with SSL_CERT_FILE in the environment"
    )
