"""WebSocket frames as no library sends them: the right close code for each, and the server goes on."""

import asyncio
import json
import logging
import os
import zlib
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.hostile.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame, upgraded
from tests.hostile.fuzz import rss_mb
from tests.server.conftest import Running, Serve
from transcriber.server.tuning import Tuning
from transcriber.telephony.simulator import CallIds
from transcriber.telephony.simulator.message_builder import Frame, MessageBuilder
from transcriber.web.limits.client_limits import ClientLimits

pytestmark = pytest.mark.hostile
KIB = 1024
CASES: dict[str, tuple[int, bytes]] = {
    "a continuation of nothing": (1002, frame(b"x", CONTINUATION)),
    "a text inside a text": (1002, frame(b"{", fin=False) + frame(b"{}")),
    "a ping in pieces": (1002, frame(b"", PING, fin=False)),
    "a ping of 126 bytes": (1002, frame(b"x" * 126, PING)),
    "compressed, though nobody agreed on it": (1002, frame(b"\x00" * 100, reserved=0b100)),
    "reserved bits": (1002, frame(b"{}", reserved=0b011)),
    "a reserved kind of data": (1002, frame(b"", 3)),
    "a reserved kind of control": (1002, frame(b"", 11)),
    "no UTF-8": (1007, frame(b"\xff\xfe")),
    "no UTF-8, split": (1007, frame(b'{"a":"\xe2', fin=False) + frame(b'\x28"}', CONTINUATION)),
    "a length of 1 TiB": (1009, frame(b"x", length=1 << 40)),
    "a length with its highest bit": (1009, frame(b"x", length=(1 << 63) + 5)),
    "64 KiB and a byte": (1009, frame(b"x" * (64 * KIB + 1))),
    "exactly 64 KiB, no JSON": (1007, frame(b"x" * 64 * KIB)),
    "pieces of more than 64 KiB": (1009, frame(b"x" * 40_000, fin=False) + frame(b"x" * 40_000, CONTINUATION)),
    "a close of one byte": (1002, frame(b"\x03", CLOSE)),
    "a close with a code that is none": (1002, frame((999).to_bytes(2), CLOSE)),
    "a close with a code nobody may send": (1002, frame((1005).to_bytes(2), CLOSE)),
    "a close whose reason is no UTF-8": (1007, frame((1000).to_bytes(2) + b"\xff", CLOSE)),
    "a close": (1000, frame((1000).to_bytes(2), CLOSE)),
    "a close that says nothing": (1000, frame(b"", CLOSE)),
    "binary": (1003, frame(os.urandom(100), BINARY)),
    "an empty text": (1007, frame(b"")),
    "an empty text in 50,000 pieces": (
        1007,
        frame(b"", fin=False) + frame(b"", CONTINUATION, fin=False) * 50_000 + frame(b"", CONTINUATION),
    ),
}


def start() -> bytes:
    return frame(MessageBuilder(CallIds(), ["inbound"]).start().encode())


async def healthy_words(running: Running) -> list[Any]:
    """What a call reads as that is played beside or after it all."""
    async with running.phone.call() as call:
        await call.play(3000)
        assert await call.hang_up() == 1000
        events = await running.ended(call.call_sid)
    return sorted((event["track"], event["text"]) for event in events if event["type"] == "final")


async def test_each_wrong_frame_has_its_close_code(serve: Serve) -> None:
    running = await serve()
    before = await healthy_words(running)
    for name, (code, data) in CASES.items():
        for beginning in (b"", start()):
            async with upgraded(running.server.url) as socket:
                await socket.send(beginning + data)
                assert (name, await socket.closed()) == (name, code)
        async with upgraded(running.server.url, early=start() + data) as socket:
            assert (name, await socket.closed()) == (name, code)
    await running.live(0)
    assert await healthy_words(running) == before


async def test_every_ping_of_a_flood_is_answered_and_audio_still_counts(serve: Serve) -> None:
    running = await serve()
    messages = MessageBuilder(CallIds(), ["inbound"])
    async with upgraded(running.server.url) as socket:
        await socket.send(frame(messages.start().encode()) + frame(b"p" * 125, PING) * 5000)
        await socket.send(frame(messages.stop().encode()))
        assert await socket.closed() == 1000
        assert socket.received == {PONG: 5000, CLOSE: 1}


async def test_who_floods_and_does_not_listen_is_cut(serve: Serve) -> None:
    running = await serve(tuning=Tuning(client_limits=ClientLimits(write_s=0.5)))
    async with upgraded(running.server.url) as socket:
        socket.writer.write(start() + frame(b"p" * 125, PING) * 100_000)  # the answers fill every buffer
        await running.live(1)
        await running.live(0)
        assert await healthy_words(running)


async def test_a_message_in_pieces_with_pings_between_is_whole(serve: Serve) -> None:
    running = await serve()
    messages = MessageBuilder(CallIds(), ["inbound"])
    pieces = [messages.start().encode()[at : at + 7] for at in range(0, len(messages.start()), 7)]
    async with upgraded(running.server.url) as socket:
        for number, piece in enumerate(pieces):
            opcode = CONTINUATION if number else TEXT
            await socket.send(frame(piece, opcode, fin=number == len(pieces) - 1) + frame(b"", PING))
        await socket.send(frame(messages.stop().encode()))
        assert await socket.closed() == 1000
    events = await running.ended(messages.ids.call)
    assert [event["type"] for event in events][:2] == ["call.started", "stream.started"]


async def test_messages_that_come_in_one_read_are_heard_in_their_order(serve: Serve) -> None:
    running = await serve()
    for behind, code in (
        (frame(b"", BINARY) + frame(b'{"event":"stop"}'), 1003),
        (frame(b'{"event":"stop"}') + frame(b"", BINARY), 1000),
        (frame(b"", PING) + frame(b"no JSON") + frame(b'{"event":"stop"}'), 1007),
        (frame((1000).to_bytes(2), CLOSE) + frame(b"no JSON"), 1000),
    ):
        messages = MessageBuilder(CallIds(), ["inbound"])
        media = [frame(messages.media(Frame("inbound", at_ms, b"\x7f" * 160)).encode()) for at_ms in (0, 20, 40)]
        async with upgraded(running.server.url) as socket:
            await socket.send(frame(messages.start().encode()))
            await running.live(1)
            await socket.send(media[0])
            await socket.send(b"".join(media[1:]) + behind)
            assert await socket.closed() == code
        events = await running.ended(messages.ids.call)
        assert [event["audio_ms"] for event in events if event["type"] == "stream.stopped"] == [{"inbound": 60}]
        await running.live(0)


async def test_a_reason_is_cut_between_characters(serve: Serve) -> None:
    message = json.loads(MessageBuilder(CallIds(), ["inbound"]).start())
    message["start"]["mediaFormat"]["encoding"] = "😀" * 64
    running = await serve()
    async with upgraded(running.server.url) as socket:
        await socket.send(frame(json.dumps(message, ensure_ascii=False).encode()))
        opcode, payload = await socket.read()
    assert (opcode, int.from_bytes(payload[:2])) == (CLOSE, 1003)
    assert payload[2:].decode().startswith("unsupported media format")


GARBAGE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"\x00" * 9000,
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /" + b"A" * 70_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nAuthorization: Bearer topsecret\x00\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /",
    b"POST /v1/twiml HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
)


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
async def test_what_is_not_http_is_refused_and_not_repeated(
    serve: Serve, caplog: pytest.LogCaptureFixture, level: int
) -> None:
    caplog.set_level(level)
    running = await serve()
    address = urlsplit(running.server.url)
    for data in GARBAGE:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(data)
        answer = b""
        async with asyncio.timeout(20):
            with suppress(ConnectionError):
                answer = await reader.read()
        writer.transport.abort()
        assert answer.split()[1:2] == [b"400"], (data[:60], answer[:60])
        assert b"topsecret" not in answer
        assert b"aiohttp" not in answer
    assert "topsecret" not in caplog.text
    assert "Traceback" not in caplog.text
    assert await healthy_words(running)


async def test_a_compressed_body_is_not_unpacked(serve: Serve) -> None:
    running = await serve()
    bomb = zlib.compress(b"CallSid=CA1&x=" + b"\x00" * 40_000_000, wbits=31)
    assert len(bomb) < 64 * KIB
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/x-www-form-urlencoded"}
    before = rss_mb()
    async with aiohttp.ClientSession() as http:
        for _ in range(5):
            async with http.post(f"{running.server.url}/v1/twiml", data=bomb, headers=headers) as answer:
                assert answer.status == 200  # the caller's call goes on
                assert "<Stream" not in await answer.text()  # and CA1 was not read out of the bytes
    assert rss_mb() < before + 20
