"""The server's end of a worker's socket: requests go out once per turn of the event loop, answers come in typed."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress

import msgspec

from transcriber.recognition.worker.protocol import Answer, FrameReader, Request, frame

log = logging.getLogger(__name__)
READ_BYTES = 1 << 16
OnAnswer = Callable[[Answer], None]
OnLost = Callable[["WorkerConnection"], None]


class WorkerConnection(asyncio.Protocol):
    """To one process. What is on its way is bounded by its user: a turn of each track, and their checkpoints.

    A worker that writes nonsense is of no use any more: its connection is closed.
    """

    def __init__(self, pid: int, on_answer: OnAnswer, on_lost: OnLost) -> None:
        self.pid = pid
        self._on_answer = on_answer
        self._on_lost = on_lost
        self._frames = FrameReader()
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Answer)
        self._transport: asyncio.WriteTransport | None = None
        self._waiting: list[bytes] = []

    @staticmethod
    async def open(connection: socket.socket, pid: int, on_answer: OnAnswer, on_lost: OnLost) -> "WorkerConnection":
        """Over our end of the worker's socket."""
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_unix_connection(
            lambda: WorkerConnection(pid, on_answer, on_lost), sock=connection
        )
        return protocol

    @property
    def is_open(self) -> bool:
        """Whether the worker may still be there."""
        return self._transport is not None

    def send(self, request: Request) -> None:
        """Have it written with what else is sent in this turn of the event loop. Never waits."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._write)
        self._waiting.append(frame(self._encoder, request))

    def close(self) -> None:
        """The worker ends when it sees it; nothing more is answered."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 - of a socket
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        try:
            for message in self._frames.push(data):
                self._on_answer(self._decoder.decode(message))
        except (ValueError, LookupError) as error:  # msgspec's errors among them
            log.error("a recognition worker (pid %d) answers nonsense and is ended: %s", self.pid, error)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop; on an error, which may be one of writing, before all was read that is there."""
        transport, self._transport = self._transport, None
        if exc is not None and transport is not None:
            self._read_rest(transport.get_extra_info("socket").fileno())
        self._on_lost(self)

    def _read_rest(self, file: int) -> None:
        """What the worker had answered: the first turn that lacks its answer is the one it died of."""
        with suppress(OSError):
            while data := os.read(file, READ_BYTES):
                self.data_received(data)

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self._transport is not None:
            self._transport.write(b"".join(waiting))
