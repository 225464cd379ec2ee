"""What clients of Server-Sent Events add to a request: where to resume, padding, and parameters against caches.

A browser's own EventSource sends a header. The libraries that stand in for it put the same into the query where they
may not send headers, and give up for good at an answer of 400; so on these routes nothing that they send is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from transcriber.errors import BadRequest
from transcriber.web.api import parameters

RESUMES = frozenset({"lasteventid", "evslasteventid"})
"""Parameters that say what Last-Event-ID says, in small letters without dashes and underscores."""
PADDINGS = frozenset({"evspreamble", "padding"})
CACHE_BUSTERS = frozenset({"", "r", "t", "v", "ts", "cb", "rnd", "rand", "random", "nocache", "time", "timestamp"})
CACHE_BUSTERS |= {"cache", "cachebuster", "cachebust", "dc"}
PADDING = b":" + b" " * 2056 + b"\n"
"""Old browsers show nothing of an answer before they have so much of it."""


@dataclass(frozen=True, slots=True)
class ResumeRequest:
    """`after`: the number of the last event the client has, 0 = none. `rest`: the other parameters."""

    after: int
    padded: bool
    rest: Mapping[str, str]

    @classmethod
    def of(cls, request: web.Request, *known: str) -> "ResumeRequest":
        """What a request asks for.

        Raises BadRequest: a position that is no number; a parameter nobody knows, unless the client was here before.
        """
        plain = [(_plain(name), value) for name, value in request.query.items()]
        positions = [request.headers.get("Last-Event-ID", "")] + [
            value for name, value in plain[::-1] if name in RESUMES
        ]
        position = next(filter(None, positions), "")
        if not re.fullmatch(r"[0-9]{0,15}", position):
            raise BadRequest("Last-Event-ID must be the number of an event of this call")
        extra = {
            name
            for name in request.query
            if name not in known and (position or _plain(name) in RESUMES | PADDINGS | CACHE_BUSTERS)
        }
        rest = parameters.query(request, *known, passing_over=extra)
        return cls(int(position or 0), any(name in PADDINGS for name, _ in plain), rest)


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
