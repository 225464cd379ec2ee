"""What a request asks for: call ids, query parameters, timestamps, JSON bodies. Every error is a BadRequest."""

import json
import re
from collections.abc import Mapping, Set
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from transcriber.errors import BadRequest
from transcriber.telephony.twilio.messages import SID, SID_FORM

_EPOCH = re.compile(r"(0|[0-9]{9,11})(\.[0-9]{1,9})?")
_BARE_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?")
_BASIC_DATE = re.compile(r"[0-9]{8}")


def call_sid_of(request: web.Request) -> str:
    """The call the path names."""
    return checked_call_sid(request.match_info["call_sid"])


def checked_call_sid(value: str) -> str:
    """The value, if it may be a CallSid."""
    if not SID.fullmatch(value):
        raise BadRequest(f"call_sid must be {SID_FORM}")
    return value


async def json_body(request: web.Request, *, malformed: str) -> Any:
    """The body as JSON, an empty one as `{}`. `malformed`: what to say of any other."""
    body = await request.read()
    try:
        return json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        raise BadRequest(malformed) from None


def query(request: web.Request, *known: str, passing_over: Set[str] = frozenset()) -> Mapping[str, str]:
    """The query parameters, each known and given once; those to be passed over are left out."""
    given = set(request.query) - passing_over
    unknown = sorted(given - set(known))
    if unknown:
        expected = f"known here: {', '.join(known)}" if known else "none are known here"
        raise BadRequest(f"unknown query parameter {', '.join(unknown)}; {expected}")
    repeated = sorted(name for name in given if len(request.query.getall(name)) > 1)
    if repeated:
        raise BadRequest(f"query parameter {', '.join(repeated)} is given more than once")
    return {name: request.query[name] for name in given}


def flag(values: Mapping[str, str], name: str, *, default: bool) -> bool:
    """A switch: 1 or 0, true or false."""
    match values.get(name, "").lower():
        case "":
            return default
        case "1" | "true":
            return True
        case "0" | "false":
            return False
    raise BadRequest(f"{name} must be 1 or 0")


def timestamp_ms(values: Mapping[str, str], name: str) -> int | None:
    """A point in time as epoch milliseconds, from ISO 8601 (without an offset: UTC) or epoch seconds.

    A number of eight digits is a date, as in ISO 8601; epoch seconds are 0 or have nine to eleven digits. Other bare
    numbers are refused: they could be years as well.
    """
    text = values.get(name)
    if text is None:
        return None
    if _EPOCH.fullmatch(text):
        return round(float(text) * 1000)
    try:
        if _BARE_NUMBER.fullmatch(text) and not _BASIC_DATE.fullmatch(text):
            raise ValueError(text)
        # A plus sign that was not percent-encoded arrives as a space.
        parsed = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return round((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        forms = "2026-11-23T05:20:00Z, 2026-11-23 or 20261123"
        raise BadRequest(f"{name} must be ISO 8601, such as {forms}, or epoch seconds (9 to 11 digits)") from None


def integer(values: Mapping[str, str], name: str, *, least: int, most: int, default: int) -> int:
    """A whole number within its bounds."""
    text = values.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise BadRequest(f"{name} must be a whole number from {least} to {most}")
    return int(text)
