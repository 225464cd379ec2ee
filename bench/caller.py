"""Two-track calls in real time from one thread, which writes each frame once for all calls.

`python -m bench.caller URL RECORDING CALLS SECONDS SPREAD_S`. Media messages differ from call to call in their
streamSid alone. Each goes out in a write of its own, as from the simulator, for a third of its CPU or less. Exit code
1: a call was refused or lost, or ended with another close code than 1000.
"""

import heapq
import itertools
import secrets
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from transcriber.audio.wav import Recording, read_recording
from transcriber.telephony.simulator import CallIds, MessageBuilder, frames
from transcriber.telephony.simulator.message_builder import FRAME_MS

SID = "MZ" + "?" * 32
MASK = secrets.token_bytes(4)
CLOSE_S = 60
TICK_S = 0.001
"""To sleep for less costs more than it brings."""
UPGRADE = (
    "GET /v1/media HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def masked(data: bytes, offset: int = 0) -> bytes:
    """The bytes as a client sends them, `offset` bytes into a message."""
    key = MASK[offset % 4 :] + MASK[: offset % 4]
    key = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(len(data), "big")


@dataclass(frozen=True, slots=True)
class Message:
    """A WebSocket frame up to the streamSid, how many bytes of the message lie before that, and what follows it."""

    head: bytes
    offset: int
    tail: bytes


def message(text: str) -> Message:
    """Of a text of up to 65,535 bytes, in which SID stands for the streamSid; or without one: all of it is the head."""
    data = text.encode()
    before, _, after = data.partition(SID.encode())
    header = (
        struct.pack("!BBH", 0x81, 0xFE, len(data)) if len(data) > 125 else struct.pack("!BB", 0x81, 0x80 | len(data))
    )
    return Message(header + MASK + masked(before), len(before), masked(after, len(before) + len(SID)))


class Call:
    """One call: its socket, and the moments of its frames."""

    def __init__(self, address: tuple[str, int], rounds: list[list[Message]], ids: CallIds, tracks: list[str]) -> None:
        self._rounds: Iterator[list[Message]] = iter(rounds)
        self._sid = [masked(ids.stream.encode(), offset) for offset in range(4)]
        builder = MessageBuilder(ids, tracks)
        self._opening = [message(builder.connected()), message(builder.start())]
        self.is_open = False
        self.socket = socket.create_connection(address, timeout=CLOSE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(UPGRADE.format(f"{address[0]}:{address[1]}").encode())

    def open(self) -> None:
        """If the server has answered, send what comes before audio. Raises ConnectionRefusedError."""
        try:
            answer = self.socket.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if not answer.startswith(b"HTTP/1.1 101"):
            raise ConnectionRefusedError
        self.is_open = True
        for opening in self._opening:
            self.socket.sendall(opening.head)

    def play(self) -> bool:
        """One frame of each track, or the end; whether there is more."""
        pieces = next(self._rounds, None)
        for piece in pieces or ():
            self.socket.send(piece.head + self._sid[piece.offset % 4] + piece.tail)
        return pieces is not None

    def ended_well(self) -> bool:
        """Wait for the server's close frame; whether it says 1000."""
        try:
            answer = self.socket.recv(256)
        except OSError:
            return False
        return answer[:1] == b"\x88" and answer[2:4] == struct.pack("!H", 1000)


def prepared(recording: Recording) -> list[list[Message]]:
    """The recording's frames, those of one moment together, then `stop`."""
    builder = MessageBuilder(CallIds(stream=SID), list(recording.tracks))
    builder.start()
    moments = itertools.groupby(frames(recording), key=lambda frame: frame.at_ms)
    rounds = [[message(builder.media(frame)) for frame in moment] for _, moment in moments]
    return [*rounds, [message(builder.stop())]]


def play(address: tuple[str, int], recording: Recording, calls: int, spread_s: float) -> int:
    """So many calls, their starts spread over `spread_s`; how many went wrong."""
    rounds, tracks = prepared(recording), list(recording.tracks)
    began = time.monotonic()
    waiting: list[tuple[float, int, Call | None]] = [
        (began + spread_s * number / calls, number, None) for number in range(calls)
    ]
    ended: list[Call] = []
    failed = 0
    while waiting:
        due, number, call = heapq.heappop(waiting)
        if (early_s := due - time.monotonic()) > 0:
            time.sleep(max(early_s, TICK_S))
        try:
            if call is None:
                call = Call(address, rounds, CallIds(), tracks)
            elif not call.is_open:
                call.open()
            elif not call.play():
                ended.append(call)
                continue
        except OSError:
            failed += 1
            continue
        heapq.heappush(waiting, (due + FRAME_MS / 1000, number, call))
    return failed + sum(not call.ended_well() for call in ended)


def main() -> int:
    """Entry point."""
    url, path, calls, seconds, spread_s = sys.argv[1:]
    whole = read_recording(Path(path))
    part = Recording({track: mulaw[: int(float(seconds) * 8000)] for track, mulaw in whole.tracks.items()})
    parts = urlsplit(url)
    return 1 if play((parts.hostname or "", parts.port or 80), part, int(calls), float(spread_s)) else 0


if __name__ == "__main__":
    sys.exit(main())
