"""A line that can be cut: passes bytes on to a server on this machine."""

import asyncio
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Relay:
    """`async with Relay(server.url) as relay`: the server answers under `relay.url` until `cut`, again after `mend`."""

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url)
        self._port = 0
        self._lines: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where to dial."""
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self.cut()

    async def mend(self) -> None:
        """Take calls, on the same port as before."""
        self._server = await asyncio.start_server(self._dialled, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Drop every connection and take no more."""
        if self._server is not None:
            self._server.close()
        for line in self._lines:
            line.transport.abort()
        await asyncio.gather(*self._passing)

    async def _dialled(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, forth = await asyncio.open_connection(self._to.hostname, self._to.port)
        self._lines |= {back, forth}
        for reader, writer in ((near, forth), (far, back)):
            task = asyncio.create_task(_pass_on(reader, writer))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
