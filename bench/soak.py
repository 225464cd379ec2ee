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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path
from statistics import median

import aiohttp

from bench import recordings
from bench.growth import Growth, Watched
from bench.stage import Event, Plan, Stage, until
from transcriber import sample_calls
from transcriber.caller import CallIds, Recording, Script, Target, dial, frames, open_line, read_recording
from transcriber.caller.messages import FIRST_TIMESTAMP_MS
from transcriber.core.audio import PER_MS, RATE, SILENCE
from transcriber.errors import ServerUnreachable

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
    """The last repetition's words against those of the second, `same` of `words` being there; milliseconds."""

    words: int
    same: int
    median_ms: float
    most_ms: int


async def short_calls(server: Watched, *, calls: int) -> Growth:
    """So many of SHORT_S, AT_ONCE at a time, as fast as it is taken; read when none is live."""
    whole = read_recording(sample_calls.path(sample_calls.DEFAULT))
    short = Recording({track: mulaw[: int(SHORT_S * RATE)] for track, mulaw in whole.tracks.items()})
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
    script, readings = Script(ids, list(recording.tracks)), []
    once, cut = round(recording.duration_s * 1000), list(frames(recording))
    async with open_line(server.target) as line:
        await line.send(script.connected())
        await line.send(script.start())
        for turn in range(times):
            for frame in cut:
                await line.send(script.media(replace(frame, at_ms=turn * once + frame.at_ms)))
                if frame.at_ms % ASK_EVERY_MS == 0:
                    await until(server.keeps_up)
            if (turn + 1) * READINGS // times > turn * READINGS // times:
                readings.append(await server.read((turn + 1) * once / 3_600_000))
        await line.send(script.stop())
        code, reason = await line.closed(within_s=60)
    if code != 1000:
        raise RuntimeError(f"the long call was closed with {code} {reason}")
    await until(server.idle)
    return Growth(readings)


def speech(*names: str) -> Recording:
    """Sample calls one after the other with a pause behind, of a length that can be repeated without any shift."""
    parts = [read_recording(sample_calls.path(name)) for name in names]
    length = sum(round(part.duration_s * RATE) for part in parts) + PAUSE_S * RATE
    length += -length % (GRID_MS * PER_MS)
    tracks = {track: b"".join(part.tracks[track] for part in parts) for track in parts[0].tracks}
    return Recording({track: mulaw.ljust(length, bytes([SILENCE])) for track, mulaw in tracks.items()})


def shift(events: Sequence[Event], *, once_ms: int, times: int) -> Shift:
    """How the last of `times` repetitions lies against the second, whose beginning is not the call's."""
    same: list[int] = []
    total = 0
    for track in ("inbound", "outbound"):
        words = [
            (word["start_ms"] - FIRST_TIMESTAMP_MS, word["word"])
            for event in events
            if event["type"] == "final" and event["track"] == track
            for word in event["words"]
        ]
        second, last = ([word for word in words if word[0] // once_ms == turn] for turn in (1, times - 1))
        total += len(second)
        matcher = SequenceMatcher(None, [word for _, word in second], [word for _, word in last], autojunk=False)
        for block in matcher.get_matching_blocks():
            same += [
                last[block.b + at][0] - second[block.a + at][0] - (times - 2) * once_ms for at in range(block.size)
            ]
    return Shift(words=total, same=len(same), median_ms=median(same), most_ms=max(map(abs, same)))


async def play(
    folder: Path,
    *,
    calls: int,
    recording: Recording,
    times: int,
    say: Callable[[str], None],
) -> tuple[Growth | None, Growth | None, Shift | None]:
    """Short calls, then the long one: what grew in each, and how the words lie at the long one's end."""
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
            events = [json.loads(text) for text in await store.archive.events(ids.call)]
            trouble = [event for event in events if event["type"] in ("gap", "stream.error")]
            if trouble or events[-1]["type"] != "call.ended":
                raise RuntimeError(f"the long call had trouble: {trouble[:3]}")
            at_end = shift(events, once_ms=round(recording.duration_s * 1000), times=times)
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
        print(
            f"last repetition against the second: {at_end.same} of {at_end.words} words; their times differ by "
            f"{at_end.median_ms:g} ms (median), {at_end.most_ms} ms at most"
        )
    print(f"{time.monotonic() - began_s:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
