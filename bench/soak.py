"""Days in minutes: `python -m bench.soak --calls 10000 --hours 6`. Many short calls, then one long one, on one server.

Both are played faster than real time to a server that runs as a child. Its memory, files, threads and tasks are read
on the way; the words at the long call's end must lie where the recording has them. Loopback only.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path
from statistics import median

import aiohttp
import numpy as np

from bench import recordings
from bench.growth import Growth, Watched
from bench.stage import Event, Plan, Stage, until
from transcriber.audio import sample_calls
from transcriber.audio.chunk import SAMPLE_RATE_HZ, SAMPLES_PER_MS, SILENCE
from transcriber.audio.wav import Recording, read_recording
from transcriber.errors import ServerUnreachable
from transcriber.telephony.simulator import CallIds, MessageBuilder, Target, connect, dial, frames
from transcriber.telephony.simulator.message_builder import FIRST_TIMESTAMP_MS

AT_ONCE = 4
SHORT_S = 2.5
READINGS = 40
ASK_EVERY_MS = 5000
GRID_MS = 60
"""Frames and gate fall on every repetition of the recording alike."""
PAUSE_S = 2
NO_ROOM = "refused the call: 503"
"""Short calls as fast as they are taken may well be more than a busy machine has room for: they dial again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Words of a repetition against those of the second, `same` of `words` being there; `late_ms`: how each lies."""

    words: int
    late_ms: Sequence[int]

    @property
    def same(self) -> int:
        """How many words are there again."""
        return len(self.late_ms)


@dataclass(frozen=True, slots=True)
class Times:
    """The shifts of all repetitions from the second on, `once_ms` apart."""

    shifts: Sequence[Shift]
    once_ms: int

    @property
    def medians_ms(self) -> list[float]:
        """Of each repetition."""
        return [median(shift.late_ms) for shift in self.shifts]

    @property
    def drift_ms(self) -> float:
        """By how much words come later with each hour: least squares over the medians."""
        hours = [number * self.once_ms / 3_600_000 for number in range(len(self.shifts))]
        return float(np.polyfit(hours, self.medians_ms, 1)[0])

    def line(self) -> str:
        """For people."""
        last = self.shifts[-1]
        return (
            f"times: the last repetition has {last.same} of {last.words} words of the second, "
            f"{median(last.late_ms):+g} ms off (median), {max(map(abs, last.late_ms))} ms at most; medians of all "
            f"{min(self.medians_ms):+g} to {max(self.medians_ms):+g} ms, drift {self.drift_ms:+.2f} ms per hour"
        )


async def short_calls(server: Watched, *, calls: int) -> Growth:
    """So many of SHORT_S, AT_ONCE at a time, as fast as it is taken; read when none is live."""
    whole = read_recording(sample_calls.path(sample_calls.DEFAULT))
    short = Recording({track: mulaw[: int(SHORT_S * SAMPLE_RATE_HZ)] for track, mulaw in whole.tracks.items()})
    room = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with room:
            await until(lambda: _taken(server.target, short))

    readings = []
    for lap in range(1, READINGS + 1):
        await asyncio.gather(*(one() for _ in range(calls * (lap - 1) // READINGS, calls * lap // READINGS)))
        await until(server.idle)
        readings.append(await server.read(calls * lap // READINGS))
    return Growth(readings)


async def _taken(target: Target, recording: Recording) -> bool:
    """Whether the server had room; whatever else goes wrong is raised."""
    try:
        await dial(target, recording, ids=CallIds(), speed=0)
    except ServerUnreachable as error:
        if NO_ROOM in str(error):
            return False
        raise
    return True


async def long_call(server: Watched, recording: Recording, *, times: int, ids: CallIds) -> Growth:
    """The recording so often in one call, as fast as it is recognised; read on the way."""
    messages, readings = MessageBuilder(ids, list(recording.tracks)), []
    once, cut = round(recording.duration_s * 1000), list(frames(recording))
    async with connect(server.target) as client:
        await client.send(messages.connected())
        await client.send(messages.start())
        for turn in range(times):
            for frame in cut:
                await client.send(messages.media(replace(frame, at_ms=turn * once + frame.at_ms)))
                if frame.at_ms % ASK_EVERY_MS == 0:
                    await until(server.keeps_up)
            if (turn + 1) * READINGS // times > turn * READINGS // times:
                readings.append(await server.read((turn + 1) * once / 3_600_000))
        await client.send(messages.stop())
        code, reason = await client.closed(within_s=60)
    if code != 1000:
        raise RuntimeError(f"the long call was closed with {code} {reason}")
    await until(server.idle)
    return Growth(readings)


def speech(*names: str) -> Recording:
    """Sample calls one after the other with a pause behind, of a length that can be repeated without any shift."""
    parts = [read_recording(sample_calls.path(name)) for name in names]
    length = sum(round(part.duration_s * SAMPLE_RATE_HZ) for part in parts) + PAUSE_S * SAMPLE_RATE_HZ
    length += -length % (GRID_MS * SAMPLES_PER_MS)
    tracks = {track: b"".join(part.tracks[track] for part in parts) for track in parts[0].tracks}
    return Recording({track: mulaw.ljust(length, bytes([SILENCE])) for track, mulaw in tracks.items()})


def times_of(events: Sequence[Event], *, once_ms: int, times: int) -> Times:
    """How each of `times` repetitions lies against the second, whose beginning is not the call's."""
    turns: dict[tuple[str, int], list[tuple[str, int]]] = defaultdict(list)
    for event in events:
        if event["type"] == "final":
            for word in event["words"]:
                turn, at_ms = divmod(word["start_ms"] - FIRST_TIMESTAMP_MS, once_ms)
                turns[event["track"], turn].append((word["word"], at_ms))
    shifts = []
    for turn in range(1, times):
        pairs = [(turns[track, 1], turns[track, turn]) for track in ("inbound", "outbound")]
        late_ms = [late for second, other in pairs for late in _late_ms(second, other)]
        shifts.append(Shift(words=sum(len(second) for second, _ in pairs), late_ms=late_ms))
    return Times(shifts, once_ms)


def _late_ms(one: Sequence[tuple[str, int]], other: Sequence[tuple[str, int]]) -> Iterator[int]:
    """Of the words that are in both."""
    matcher = SequenceMatcher(None, [word for word, _ in one], [word for word, _ in other], autojunk=False)
    for block in matcher.get_matching_blocks():
        for at in range(block.size):
            yield other[block.b + at][1] - one[block.a + at][1]


async def play(
    folder: Path,
    *,
    calls: int,
    recording: Recording,
    times: int,
    say: Callable[[str], None],
) -> tuple[Growth | None, Growth | None, Times | None]:
    """Short calls, then the long one: what grew in each, and how the long one's words lie."""
    stage = Stage(Plan(), folder, None, recording)
    short = long = at_end = None
    async with stage.server() as (child, url), stage.store() as store, aiohttp.ClientSession() as session:
        server = Watched(url, child.pid, session, say)
        if calls:
            say(f"{'calls':>10} {'RSS MB':>8} {'files':>6} {'threads':>8} {'tasks':>6}")
            short = await short_calls(server, calls=calls)
        if times:
            say(f"{'hours':>10} {'RSS MB':>8} {'files':>6} {'threads':>8} {'tasks':>6}")
            ids = CallIds()
            long = await long_call(server, recording, times=times, ids=ids)
            events = [json.loads(text) for text in await store.history.events(ids.call)]
            trouble = [event for event in events if event["type"] in ("gap", "stream.error")]
            if trouble or events[-1]["type"] != "call.ended":
                raise RuntimeError(f"the long call had trouble: {trouble[:3]}")
            at_end = times_of(events, once_ms=round(recording.duration_s * 1000), times=times)
    return short, long, at_end


def _line(growth: Growth, unit: str, per: float) -> str:
    counts = ", ".join(f"{what} {growth.more(what):+}" for what in ("files", "threads", "tasks"))
    return f"after warm-up: RSS {growth.slope_mb * per * 1000:+.0f} KB per {unit}; {counts}"


async def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=10_000, help=f"of {SHORT_S:g} s; 0: none")
    parser.add_argument("--hours", type=float, default=6.0, help="of audio in one call; 0: none")
    args = parser.parse_args()
    recordings.heading()
    recording = speech(*sample_calls.names())
    times = max(3, round(args.hours * 3600 / recording.duration_s)) if args.hours else 0
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        short, long, at_end = await play(
            Path(folder), calls=args.calls, recording=recording, times=times, say=lambda line: print(line, flush=True)
        )
    if short is not None:
        print(_line(short, "1,000 calls", 1000))
    if long is not None and at_end is not None:
        print(_line(long, "hour of audio", 1))
        print(at_end.line())
    print(f"{time.monotonic() - began_s:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
