"""How many live event streams a client may follow at once: each API key by itself, everybody else by address."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from transcriber.web.access import authorization
from transcriber.web.api.errors import HttpRefusal
from transcriber.web.limits.request_rate import address_of
from transcriber.web.services import SERVICES

RETRY_AFTER_S = 15
"""A reader who left is noticed with the next heartbeat."""


class EventStreamLimits(Counter[str]):
    """How many are open, by API key or address."""


EVENT_STREAMS = web.AppKey("event_streams", EventStreamLimits)


@contextmanager
def slot(request: web.Request) -> Iterator[HttpRefusal | None]:
    """A slot for one event stream, held inside the block; or the refusal of one too many."""
    open_streams, most = request.app[EVENT_STREAMS], request.app[SERVICES].settings.sse_per_client
    key = authorization.key_of(request)
    name = address_of(request) if key is None else key.digest.hex()
    if most and open_streams[name] >= most:
        who = "address" if key is None else "key"
        message = f"this {who} follows {most} live event streams already (TRANSCRIBER_SSE_PER_CLIENT is the limit)"
        yield authorization.counted(request, HttpRefusal(429, message, {"Retry-After": str(RETRY_AFTER_S)}))
        return
    open_streams[name] += 1
    try:
        yield None
    finally:
        open_streams[name] -= 1
        if not open_streams[name]:
            del open_streams[name]
