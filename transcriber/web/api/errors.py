"""What a refused request is answered: one JSON shape for every 4xx and 5xx."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many",
    426: "upgrade_required",
    500: "internal",
    503: "unavailable",
}


def error_response(
    status: int, message: str, *, code: str | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """`{"error":{"code":…,"message":…}}`; the code follows from the status unless it is given."""
    code = code or CODES.get(status, "error")
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)


@dataclass(frozen=True, slots=True)
class HttpRefusal:
    """Why a request may not go on; the message says what to set or send."""

    status: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        """The answer to send."""
        return error_response(self.status, self.message, headers=self.headers)
