"""Section `memory`: a server's start, what it needs at rest and for a live track, what calls leave behind."""

import asyncio
import os
from collections.abc import Sequence

import numpy as np

from transcriber.benchmark import load
from transcriber.benchmark.material import Call
from transcriber.benchmark.plan import Plan
from transcriber.benchmark.section_report import Row, SectionReport, rounded
from transcriber.benchmark.system_under_test import SystemUnderTest

MB = 1e6
LAPS = 20
"""Batches of calls after which memory is read; the slope is that of the later half."""
LAP_S = 4.0
"""How much of each call is played in a batch."""
LOOK_S = 0.5


async def measure(plan: Plan) -> SectionReport:
    """Resident memory by side. Raises TranscriberError."""
    count = plan.at_once(plan.most_tracks / 2)
    rows = []
    for opening in plan.sides():
        async with opening as side:
            rows.append(await _side(plan, side, count))
    return SectionReport(
        section="memory",
        about=f"{count} calls at once of {plan.seconds:g} s, then {LAPS * _lap_calls()} of {LAP_S:g} s",
        rows=rows,
        notes=(
            "resident memory of the server's processes; its Redis apart; live track: the most there was, less rest",
            "slope: least squares over the later half of the short calls, in kilobytes a call",
        ),
    )


async def _side(plan: Plan, side: SystemUnderTest, count: int) -> Row:
    plan.say(f"memory: {side.name}, {count} at once")
    rest = side.use()
    if rest is None:
        return _row(side, None, None, None, None)
    most = rest.memory_bytes
    playing = asyncio.ensure_future(load.play(side, plan.callers(count)))
    while not playing.done():
        await asyncio.wait({playing}, timeout=LOOK_S)
        used = side.use()
        most = max(most, used.memory_bytes if used else 0)
    tracks = sum(len(heard.call.recording.tracks) for heard in playing.result().sound().heard)
    plan.say(f"memory: {side.name}, {LAPS * _lap_calls()} short calls")
    slope = await _slope(side, [call.cut(LAP_S) for call in plan.material])
    after = side.use()
    redis_mb = after.redis_bytes / MB if after and after.redis_bytes else None
    return _row(side, rest.memory_bytes / MB, (most - rest.memory_bytes) / tracks / MB, slope, redis_mb)


async def _slope(side: SystemUnderTest, pieces: Sequence[Call]) -> float:
    """Kilobytes that stay after a call."""
    after = []
    for lap in range(LAPS):
        calls = [pieces[(lap + number) % len(pieces)] for number in range(_lap_calls())]
        used = (await load.rush(side, calls, at_once=_lap_calls())).sound().used
        after.append(used.memory_bytes if used else 0)
    later = after[LAPS // 2 :]
    return float(np.polyfit(np.arange(len(later)) * _lap_calls(), later, 1)[0]) / 1000


def _lap_calls() -> int:
    return 2 * (os.cpu_count() or 1)


def _row(
    side: SystemUnderTest, rest_mb: float | None, track_mb: float | None, slope_kb: float | None, redis_mb: float | None
) -> Row:
    return {
        "side": side.name,
        "ready_s": round(side.ready_s, 2),
        "rest_mb": rounded(rest_mb, 1),
        "live_track_mb": rounded(track_mb, 2),
        "slope_kb_per_call": rounded(slope_kb, 1),
        "redis_mb": rounded(redis_mb, 1),
    }
