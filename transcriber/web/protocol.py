"""Requests that are no HTTP: refused in the one error shape and one line of log.

aiohttp answers them before any middleware, in plain text that quotes the request, and logs a traceback. It has no
setting for that (its issue 3287), so its protocol is derived from here, and in `Runner` put in place.
"""

import logging
from http import HTTPStatus

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from transcriber.web.refusal import error_response

log = logging.getLogger(__name__)


class Runner(web.AppRunner):
    """An AppRunner whose connections speak `_Protocol`."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            **made._kwargs,
        )


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class _Protocol(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What could not be parsed, and what went wrong outside of the middlewares."""
        if isinstance(exc, HttpProcessingError):
            log.info("refused what is no HTTP request from %s: %s", request.remote, type(exc).__name__)
            said = (
                "the request line or a header is too long"
                if isinstance(exc, LineTooLong)
                else "this is not well-formed HTTP"
            )
        else:
            self.log_exception("Error handling request from %s", request.remote, exc_info=exc)
            said = "something went wrong here; the server's log has it"
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun")
        response = error_response(status, said)
        response.force_close()
        return response
