"""When a webhook's event is tried again: what an answer means, how long to wait. Pure."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

Verdict = Literal["delivered", "refused", "failed", "gone"]
"""`refused`: this event will never be taken; `failed`: perhaps later; `gone`: the receiver wants nothing any more."""

REFUSED_STATUSES = frozenset({400, 413, 415, 422})
GONE_STATUS = 410
BUSY_STATUSES = frozenset({429, 503})
"""With Retry-After they speak for the receiver as a whole, not for one call."""

FIRST_DELAY_S, MAX_DELAY_S = 1.0, 300.0
MAX_ASKED_S = 3600.0


def classify_status(status: int) -> Verdict:
    """What an HTTP status says. Redirects are not followed: the events would go where nobody sent them."""
    if 200 <= status < 300:
        return "delivered"
    if status in REFUSED_STATUSES:
        return "refused"
    return "gone" if status == GONE_STATUS else "failed"


def retry_delay_s(attempts: int, *, chance: float, first_s: float = FIRST_DELAY_S) -> float:
    """How long to wait after so many tries (from 1): doubling, with jitter; `chance` is uniform in 0..1."""
    longest = min(MAX_DELAY_S, first_s * 2.0 ** min(attempts - 1, 30))
    return longest * (0.5 + chance / 2)


def asked_delay_s(retry_after: str | None, *, now_s: float) -> float:
    """What a Retry-After header asks for, seconds or a date; 0 without one that can be read, an hour at most."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        asked = float(text)
    else:
        try:
            moment = parsedate_to_datetime(text)
            asked = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now_s
        except (ValueError, TypeError, IndexError, OverflowError):
            asked = 0.0
    return min(MAX_ASKED_S, max(0.0, asked))


def wait_s(at: str, *, now_s: float) -> float | None:
    """Seconds from an event's `at` until now; None when it is not a moment."""
    try:
        return max(0.0, now_s - datetime.fromisoformat(at).timestamp())
    except (ValueError, TypeError):
        return None
