"""A WebSocket whose texts can be handed over as they are read, without waking a task for each of them.

aiohttp puts every message into a queue and wakes whoever waits in `receive`: for fifty small messages a second and
track, that costs more than what is done with them.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import WebSocketReader

QUEUE_BYTES = 1 << 16
"""Of messages that nobody has received; from twice as much on nothing is read from the connection."""
OnText = Callable[[str], None]


class _DirectQueue(WebSocketDataQueue):
    """aiohttp's queue between its parser and `receive`, which texts do not enter while somebody takes them."""

    def __init__(self, protocol: BaseProtocol, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(protocol, QUEUE_BYTES, loop=loop)
        self.on_text: OnText | None = None

    @property
    def is_empty(self) -> bool:
        """Whether `receive` has to wait."""
        return not self._buffer

    def feed_data(self, data: Any, size: int) -> None:
        """aiohttp's: the next message, (type, data, extra)."""
        if self.on_text is not None and data[0] is WSMsgType.TEXT:
            self.on_text(data[1])
        else:
            self.on_text = None  # what follows must not be heard of before it
            super().feed_data(data, size)


class DirectSocket(web.WebSocketResponse):
    """aiohttp's, at first. From `hand_over` on texts go to a function, until a message of another kind comes."""

    _queue: _DirectQueue

    def hand_over(self, on_text: OnText) -> None:
        """Unless older messages wait for `receive`: call it with each text from now on. It must not raise."""
        if self._queue.is_empty:
            self._queue.on_text = on_text

    def take_back(self) -> None:
        """Texts are for `receive` again, as is at any time all that comes from the first other message on."""
        self._queue.on_text = None

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: Any) -> None:
        """aiohttp's, with our queue: without heartbeats and compression."""
        self._ws_protocol, self._writer = protocol, writer
        self._queue = self._reader = _DirectQueue(request.protocol, loop=asyncio.get_running_loop())
        self._parser = WebSocketReader(self._queue, self._max_msg_size, compress=False, decode_text=True)
        request.protocol.set_parser(self._parser)
        request.protocol.keep_alive(False)
