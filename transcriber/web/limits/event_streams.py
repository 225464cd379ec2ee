"""How many live event streams a client may follow at once: each API key by itself, everybody else by address."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from transcriber.web.access import authorization
from transcriber.web.api.errors import Refusal
from transcriber.web.limits.request_rate import address_of
from transcriber.web.services import SERVICES

RETRY_AFTER_S = 15
"""A reader who left is noticed with the next heartbeat."""


class EventStreamLimits(Counter[str]):
    """Who follows how many."""


FOLLOWERS = web.AppKey("followers", EventStreamLimits)


@contextmanager
def place(request: web.Request) -> Iterator[Refusal | None]:
    """A place inside the block, or why there is none."""
    followers, most = request.app[FOLLOWERS], request.app[SERVICES].settings.sse_per_client
    key = authorization.key_of(request)
    name = address_of(request) if key is None else key.digest.hex()
    if most and followers[name] >= most:
        who = "address" if key is None else "key"
        message = f"this {who} follows {most} live event streams already (TRANSCRIBER_SSE_PER_CLIENT is the limit)"
        yield authorization.counted(request, Refusal(429, message, {"Retry-After": str(RETRY_AFTER_S)}))
        return
    followers[name] += 1
    try:
        yield None
    finally:
        followers[name] -= 1
        if not followers[name]:
            del followers[name]
