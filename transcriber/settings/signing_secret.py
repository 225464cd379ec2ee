"""The secrets that webhooks are signed with, as Standard Webhooks writes them. Pure."""

import base64
import binascii

SECRET_PREFIX = "whsec_"  # noqa: S105
MIN_KEY, MAX_KEY = 24, 64
"""Bytes of a secret."""


def key_of(secret: str) -> bytes:
    """The bytes of a secret, `whsec_` and base64. Raises ValueError that does not quote it."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(SECRET_PREFIX) or not MIN_KEY <= len(key) <= MAX_KEY:
        raise ValueError(
            f"must be {SECRET_PREFIX} and {MIN_KEY} to {MAX_KEY} bytes of base64; "
            f'make one with: echo "{SECRET_PREFIX}$(openssl rand -base64 32)"'
        )
    return key
