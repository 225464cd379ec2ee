"""The form of a webhook, in every decoding under which it may have been signed. No byte is left out or guessed."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

MAX_FIELDS = 1000
"""Twilio sends some dozens; reading them is work that a stranger can ask for."""
Fields = Sequence[tuple[str, str]]


class TooManyFields(ValueError):
    """More than MAX_FIELDS."""


def parse_form(body: bytes) -> list[Fields]:
    """The fields as UTF-8; else as Latin-1, for people, and with the bytes as they came (surrogate escapes)."""
    if body.count(b"&") >= MAX_FIELDS:
        raise TooManyFields(f"a form may have {MAX_FIELDS} fields")
    try:
        return [_parsed(body, "utf-8", "strict")]
    except UnicodeDecodeError:
        return [_parsed(body, "latin-1", "strict"), _parsed(body, "utf-8", "surrogateescape")]


def _parsed(body: bytes, encoding: str, errors: str) -> Fields:
    return parse_qsl(body.decode(encoding, errors), keep_blank_values=True, encoding=encoding, errors=errors)
