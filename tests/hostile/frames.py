"""WebSocket frames as bytes, right or wrong on purpose, and a socket that sends them; no library would."""

import asyncio
import base64
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
LOST = 1006


def frame(
    payload: bytes = b"",
    opcode: int = TEXT,
    *,
    fin: bool = True,
    reserved: int = 0,
    masked: bool = True,
    length: int | None = None,
) -> bytes:
    """One frame; `length` declares another than the payload's, `reserved` are the three bits behind `fin`."""
    told = len(payload) if length is None else length
    head = bytes([fin << 7 | reserved << 4 | opcode])
    mask_bit = masked << 7
    if told < 126:
        head += bytes([mask_bit | told])
    elif told < 1 << 16:
        head += struct.pack("!BH", mask_bit | 126, told)
    else:
        head += struct.pack("!BQ", mask_bit | 127, told)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    scrambled = int.from_bytes(payload) ^ int.from_bytes(repeated)
    return head + mask + scrambled.to_bytes(len(payload))


@dataclass(slots=True)
class RawSocket:
    """An upgraded connection. What the server says is read all the time unless `deaf`."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    close_code: int | None = None
    received: dict[int, int] = field(default_factory=dict)
    """How many frames of each opcode came."""

    async def send(self, data: bytes) -> None:
        """Raises nothing when the server is gone: `closed` tells."""
        self.writer.write(data)
        try:
            await self.writer.drain()
        except ConnectionError:
            return

    async def closed(self, *, within_s: float = 20) -> int:
        """The server's close code; 1006 when it cut the connection without one."""
        async with asyncio.timeout(within_s):
            try:
                while True:
                    opcode, payload = await self.read()
                    if opcode == CLOSE:
                        return int.from_bytes(payload[:2]) if payload else 1005
            except (ConnectionError, asyncio.IncompleteReadError):
                return LOST

    async def read(self) -> tuple[int, bytes]:
        """One frame of the server's. Raises IncompleteReadError at the end."""
        first, second = await self.reader.readexactly(2)
        size = second & 127
        if size > 125:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8))
        opcode = first & 15
        self.received[opcode] = self.received.get(opcode, 0) + 1
        return opcode, await self.reader.readexactly(size)


@asynccontextmanager
async def upgraded(
    url: str, *, path: str = "/v1/media", more: str = "", early: bytes = b""
) -> AsyncIterator[RawSocket]:
    """A socket behind 101. `more`: header lines; `early`: sent with the request. Raises ConnectionRefusedError."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{more}\r\n".encode()
        + early
    )
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise ConnectionRefusedError(head.split(b"\r\n", 1)[0].decode())
        yield RawSocket(reader, writer)
    finally:
        writer.transport.abort()
