"""Section `capacity`: the most two-track calls in real time whose finals still come within a bound."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from transcriber.benchmark import load
from transcriber.benchmark.load import LoadResult
from transcriber.benchmark.plan import Plan
from transcriber.benchmark.section_report import Row, SectionReport, percentile
from transcriber.benchmark.sections.latency import NOTES, source_of_turns
from transcriber.benchmark.system_under_test import SystemUnderTest
from transcriber.errors import ServerUnreachable
from transcriber.runtime.machine import cpu_cores

MIN_MEASURED_SHARE = 0.5
"""A step in which the delays of fewer turns than this share could be measured fails, however short they were."""
IDLE_WITHIN_S = 60
IDLE_CORES = 0.1
"""The most that a system without calls may use, in cores."""
RESOLUTION = 10
"""The search ends when it knows the figure to one in so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """So many calls at once, and what came of it: `measured` of `turns` have a final whose delay is known."""

    system: str
    calls: int
    turns: int
    measured: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    late_ms: float | None
    cores: float | None
    others_cores: float | None
    failed: int
    within_bound: bool


@dataclass(frozen=True, slots=True)
class CapacityResult:
    """`report` for the user, `steps` for the chart, `most_calls` of the service for the latency section."""

    report: SectionReport
    steps: Sequence[Step]
    most_calls: int


async def measure(plan: Plan) -> CapacityResult:
    """Search for every system. Raises TranscriberError."""
    excerpts = plan.excerpts()
    steps: list[Step] = []
    rows: list[Row] = []
    most = {}
    for opened in plan.systems():
        async with opened as system:
            found = await _search(plan, system)
        steps += found
        most[system.name] = max((step.calls for step in found if step.within_bound), default=0)
        rows.append(_row(system.name, most[system.name], found))
    report = SectionReport(
        section="capacity",
        about=f"calls of {max(piece.recording.duration_s for piece in excerpts):.0f} s at once, from "
        f"{', '.join(call.name for call in excerpts[:4])}; p95 of a final's delay, less endpoint, "
        f"within {plan.bound_ms:g} ms",
        rows=rows,
        steps=[_step_row(step) for step in steps],
        notes=(
            source_of_turns(plan),
            *NOTES,
            "the caller runs on the same cores; what other programs used (others cores) was not there for the calls",
        ),
    )
    return CapacityResult(report, steps, most["service"])


async def _search(plan: Plan, system: SystemUnderTest) -> list[Step]:
    """Doubling, then halving the distance, until the figure is known to one in RESOLUTION or the time is up."""
    steps: list[Step] = []
    most, least_bad, calls = 0, None, plan.calls or max(1, plan.most_tracks // 4)
    began_s = time.monotonic()
    while least_bad is None or least_bad - most > max(1, most // RESOLUTION):
        spent_s = time.monotonic() - began_s
        if spent_s > plan.budget_s:
            break
        plan.report(f"capacity: {system.name}, {calls} at once ({spent_s:.0f} of at most {plan.budget_s:.0f} s)")
        step = _step(system, calls, await load.play(system, plan.staggered_calls(calls)), plan.bound_ms)
        if not steps and not step.measured and not step.failed:
            raise ServerUnreachable(f"{system.name}: no final could be matched with the speech (no word times?)")
        steps.append(step)
        if step.within_bound:
            most = calls
        else:
            least_bad = calls
            await _wait_until_idle(system)
        calls = 2 * calls if least_bad is None else (most + least_bad) // 2
    return steps


async def _wait_until_idle(system: SystemUnderTest) -> None:
    """Let a system that was overloaded finish its work, so that the next step does not pay for it."""
    for _ in range(IDLE_WITHIN_S):
        before = system.resources()
        await asyncio.sleep(1)
        after = system.resources()
        if before is None or after is None or after.cpu_s - before.cpu_s < IDLE_CORES:
            break


def _step(system: SystemUnderTest, calls: int, outcome: LoadResult, bound_ms: float) -> Step:
    lags = [delay.lag_ms for delay in outcome.delays if delay.lag_ms is not None]
    p95_ms, used = percentile(lags, 95), outcome.used
    failed = len(outcome.failures) + sum(bool(result.error_codes) for result in outcome.results)
    enough = len(lags) >= MIN_MEASURED_SHARE * outcome.turns
    return Step(
        system=system.name,
        calls=calls,
        turns=outcome.turns,
        measured=len(lags),
        p50_ms=percentile(lags, 50),
        p95_ms=p95_ms,
        p99_ms=percentile(lags, 99),
        late_ms=percentile(outcome.late_ms, 99),
        cores=None if used is None else round((used.cpu_s + used.redis_cpu_s) / outcome.wall_s, 2),
        others_cores=outcome.others_cores,
        failed=failed,
        within_bound=not failed and enough and p95_ms is not None and p95_ms <= bound_ms,
    )


def _row(name: str, most: int, steps: Sequence[Step]) -> Row:
    bad = min((step.calls for step in steps if not step.within_bound), default=None)
    at_most = next((step for step in steps if step.within_bound and step.calls == most), None)
    return {
        "side": name,
        "calls": most,
        "too_many": bad,
        "tracks_per_core": round(2 * most / cpu_cores(), 1),
        "p50_ms": at_most.p50_ms if at_most else None,
        "p95_ms": at_most.p95_ms if at_most else None,
        "cores_used": at_most.cores if at_most else None,
        "others_cores": at_most.others_cores if at_most else None,
    }


def _step_row(step: Step) -> Row:
    return {
        "side": step.system,
        "calls": step.calls,
        "turns": step.turns,
        "measured": step.measured,
        "failed_calls": step.failed,
        "p50_ms": step.p50_ms,
        "p95_ms": step.p95_ms,
        "p99_ms": step.p99_ms,
        "cores_used": step.cores,
        "others_cores": step.others_cores,
        "caller_late_p99_ms": step.late_ms,
        "within": "yes" if step.within_bound else "no",
    }
