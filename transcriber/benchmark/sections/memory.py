"""Section `memory`: a server's start, what it needs at rest and for a live track, what calls leave behind."""

import asyncio
from collections.abc import Sequence

import numpy as np

from transcriber.benchmark import load
from transcriber.benchmark.material import Call
from transcriber.benchmark.plan import Plan
from transcriber.benchmark.section_report import Row, SectionReport, rounded
from transcriber.benchmark.system_under_test import SystemUnderTest
from transcriber.runtime.machine import whole_cores

MB = 1e6
BATCHES = 20
"""Batches of calls after which memory is read; the slope is that of the later half."""
BATCH_CALL_S = 4.0
"""How much of each call is played in a batch."""
SAMPLE_EVERY_S = 0.5


async def measure(plan: Plan) -> SectionReport:
    """Resident memory by system. Raises TranscriberError."""
    count = plan.call_count(plan.most_tracks / 2)
    rows = []
    for opened in plan.systems():
        async with opened as system:
            rows.append(await _measure_system(plan, system, count))
    return SectionReport(
        section="memory",
        about=f"{count} calls at once of {plan.seconds:g} s, then {BATCHES * _calls_per_batch()} of {BATCH_CALL_S:g} s",
        rows=rows,
        notes=(
            "resident memory of the server's processes; its Redis apart; live track: the most there was, less rest",
            "slope: least squares over the later half of the short calls, in kilobytes a call",
        ),
    )


async def _measure_system(plan: Plan, system: SystemUnderTest, count: int) -> Row:
    plan.report(f"memory: {system.name}, {count} at once")
    rest = system.resources()
    if rest is None:
        return _row(system, None, None, None, None)
    most = rest.memory_bytes
    playing = asyncio.ensure_future(load.play(system, plan.staggered_calls(count)))
    while not playing.done():
        await asyncio.wait({playing}, timeout=SAMPLE_EVERY_S)
        used = system.resources()
        most = max(most, used.memory_bytes if used else 0)
    tracks = sum(len(result.call.recording.tracks) for result in playing.result().require_success().results)
    plan.report(f"memory: {system.name}, {BATCHES * _calls_per_batch()} short calls")
    slope = await _slope(system, [call.cut(BATCH_CALL_S) for call in plan.material])
    after = system.resources()
    redis_mb = after.redis_bytes / MB if after and after.redis_bytes else None
    return _row(system, rest.memory_bytes / MB, (most - rest.memory_bytes) / tracks / MB, slope, redis_mb)


async def _slope(system: SystemUnderTest, excerpts: Sequence[Call]) -> float:
    """Kilobytes that stay after a call."""
    after = []
    for batch in range(BATCHES):
        calls = [excerpts[(batch + number) % len(excerpts)] for number in range(_calls_per_batch())]
        used = (await load.play_at_full_speed(system, calls, at_once=_calls_per_batch())).require_success().used
        after.append(used.memory_bytes if used else 0)
    later = after[BATCHES // 2 :]
    return float(np.polyfit(np.arange(len(later)) * _calls_per_batch(), later, 1)[0]) / 1000


def _calls_per_batch() -> int:
    return 2 * whole_cores()


def _row(
    system: SystemUnderTest,
    rest_mb: float | None,
    track_mb: float | None,
    slope_kb: float | None,
    redis_mb: float | None,
) -> Row:
    return {
        "side": system.name,
        "ready_s": round(system.ready_s, 2),
        "rest_mb": rounded(rest_mb, 1),
        "live_track_mb": rounded(track_mb, 2),
        "slope_kb_per_call": rounded(slope_kb, 1),
        "redis_mb": rounded(redis_mb, 1),
    }
