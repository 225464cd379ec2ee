"""Malformed messages by the million. In the core alone: `python -m tests.hostile.fuzz --messages 1000000`.

With `--url` over real sockets to a running server. Prints what came back and how memory went; a breach raises.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.hostile.frames import LOST, RawSocket, frame, upgraded
from tests.hostile.messages import Malice
from transcriber.audio.chunk import AudioChunk
from transcriber.telephony.media_stream import MediaStream, Outcome
from transcriber.telephony.outcomes import StopReceived, StreamFault, StreamRefused

PER_STREAM = 200
MAX_AUDIO = 2 * 8000 + 64 * 1024
"""Bytes one message may become: its own, and a hole's silence."""
CLOSE_CODES = {1000, 1002, 1003, 1007, 1008, 1009, 1013}
AT_ONCE = 20


def rss_mb(pid: int | str = "self") -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


def core(messages: int, *, seed: int, note: Callable[[int], None] = lambda done: None) -> tuple[Counter[str], float]:
    """Feed so many to streams of the core; how often what came out, and the slowest message in seconds."""
    seen: Counter[str] = Counter()
    malice, done, slowest = Malice(seed), 0, 0.0
    while done < messages:
        stream, over = MediaStream(), False
        for text in malice.stream(PER_STREAM):
            done += 1
            before = time.thread_time()
            outcomes = stream.receive(text)
            slowest = max(slowest, time.thread_time() - before)
            check(outcomes, over=over)
            seen.update(type(outcome).__name__ for outcome in outcomes)
            over = over or any(isinstance(outcome, (StreamRefused, StopReceived)) for outcome in outcomes)
            if over:
                break
        json.dumps(stream.faults)
        assert set(stream.audio_ms()) <= {"inbound", "outbound"}
        note(done)
    return seen, slowest


def check(outcomes: list[Outcome], *, over: bool) -> None:
    """What must hold for every answer of the core."""
    assert not (over and outcomes), "a stream that is over said something"
    audio = 0
    for outcome in outcomes:
        assert isinstance(outcome, Outcome)
        match outcome:
            case StreamRefused(close_code, reason):
                assert close_code in (1003, 1007, 1008)
                reason.encode()
            case StreamFault(code, message):
                assert code.isidentifier()
                message.encode()
            case AudioChunk(payload=payload):
                audio += len(payload)
    assert audio <= MAX_AUDIO, "a message became too much audio"


async def over_sockets(url: str, messages: int, *, seed: int, note: Callable[[int], None]) -> Counter[int]:
    """Send so many over real sockets, some at once; how often each close code came. A lost line is a breach."""
    codes: Counter[int] = Counter()
    malice, sent = Malice(seed), 0

    async def one() -> None:
        nonlocal sent
        texts = list(malice.stream(PER_STREAM))
        async with upgraded(url) as socket:
            listening = asyncio.create_task(socket.closed(within_s=60))
            for text in texts:
                if listening.done():
                    break
                data = text.encode("utf-8", "surrogatepass")
                await socket.send(frame(data))
                sent += 1
                if "\ufffd" in data.decode("utf-8", "replace"):  # the parser gives up: what follows is not even read
                    break
            else:
                await _end(socket)
            code = await listening
        assert code in CLOSE_CODES, f"close code {code}" + (": the line was cut" if code == LOST else "")
        codes[code] += 1
        note(sent)

    while sent < messages:
        await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    return codes


async def _end(socket: RawSocket) -> None:
    await socket.send(frame(b'{"event": "stop", "stop": {}}') + frame((1000).to_bytes(2), 8))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--url", help="a running server; without it the core alone")
    parser.add_argument("--pid", type=int, help="that server's process, for its memory")
    args = parser.parse_args()
    marks = [(0, rss_mb(args.pid or "self"))]

    def note(done: int) -> None:
        if done >= marks[-1][0] + args.messages / 10:
            marks.append((done, rss_mb(args.pid or "self")))

    began = time.monotonic()
    if args.url:
        found: Counter[int] | Counter[str] = asyncio.run(
            over_sockets(args.url, args.messages, seed=args.seed, note=note)
        )
    else:
        found, slowest = core(args.messages, seed=args.seed, note=note)
        print(f"slowest message: {slowest * 1000:.1f} ms of CPU")
    print(f"{args.messages} messages in {time.monotonic() - began:.1f} s: {dict(found)}")
    print("memory in MB:", ", ".join(f"{mb:.1f} after {done}" for done, mb in marks))


if __name__ == "__main__":
    main()
