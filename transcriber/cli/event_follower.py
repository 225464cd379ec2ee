"""Reading a call's events from the server (Server-Sent Events): the parser, and following until the call has ended."""

import asyncio
import codecs
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from transcriber.cli.http_client import Connection, ConnectionLost, call_path
from transcriber.errors import CallNotFound, ServerUnreachable
from transcriber.events.schema import parse

RETRY_S = 0.1
MAX_MESSAGE_CHARS = 1 << 22


@dataclass(frozen=True, slots=True)
class Message:
    """One server-sent event; `id` is empty when the server gave none."""

    id: str
    data: str


class Parser:
    """Bytes to messages, cut wherever the network cuts them (HTML standard, 9.2.6). Raises ServerUnreachable."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._id = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[Message]:
        """The messages completed by this chunk."""
        self._rest += self._decoder.decode(chunk)
        # A carriage return at the very end may be the first half of a line end.
        held = "\r" if self._rest.endswith("\r") else ""
        whole = self._rest.removesuffix(held).replace("\r\n", "\n").replace("\r", "\n")
        *lines, rest = whole.split("\n")
        self._rest = rest + held
        messages = [message for line in lines if (message := self._line(line))]
        if len(self._rest) + sum(map(len, self._data)) > MAX_MESSAGE_CHARS:
            raise ServerUnreachable("the server sends an event without end: is it a transcriber?")
        return messages

    def _line(self, line: str) -> Message | None:
        if not line:
            data, self._data = self._data, []
            found_id, self._id = self._id, ""
            return Message(found_id, "\n".join(data)) if data else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id":
            self._id = value
        return None


async def follow(api: Connection, call_sid: str, *, patience_s: float = 10.0) -> AsyncGenerator[dict[str, Any]]:
    """A call's events, history and live, until `call.ended`.

    For `patience_s` it waits for the call to exist, and for a broken connection to come back, where it resumes without
    a gap or a repetition. Raises CallNotFound, ServerUnreachable. Close the iterator when leaving it early.
    """
    last_id, deadline = "", time.monotonic() + patience_s
    while True:
        trouble: CallNotFound | ServerUnreachable = ConnectionLost("the server ended the events before the call")
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        try:
            async with api.request("GET", call_path(call_sid, "events"), headers=headers, answer_s=None) as response:
                parser = Parser()
                async for chunk in response.content.iter_any():
                    for message in parser.feed(chunk):
                        last_id, deadline = message.id or last_id, time.monotonic() + patience_s
                        event = _event(message.data)
                        yield event
                        if event.get("type") == "call.ended":
                            return
        except (CallNotFound, ConnectionLost) as error:
            trouble = error
        if time.monotonic() > deadline:
            raise trouble
        await asyncio.sleep(RETRY_S)


def _event(text: str) -> dict[str, Any]:
    event = parse(text)
    if not event:
        raise ServerUnreachable("the server sends events that are not JSON objects: is it a transcriber?")
    return event
