"""Many calls at once to one system, and what they cost it."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass

from transcriber.benchmark.call_result import CallResult, Delay
from transcriber.benchmark.material import Call
from transcriber.benchmark.system_under_test import ResourceUse, SystemUnderTest, machine_cpu_s
from transcriber.errors import ServerUnreachable, TranscriberError

SPREAD_S = 4.0
"""Over how much the starts of calls are spread: real calls do not begin together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """The outcome of calls made at once. `used`: what the system used meanwhile (memory: at its end).

    `others_cores`: what neither the system nor the caller used, but somebody else on this machine (None: not known).
    """

    results: Sequence[CallResult]
    failures: Sequence[str]
    used: ResourceUse | None
    track_s: float
    wall_s: float
    others_cores: float | None
    endpoint_ms: int | None

    @property
    def delays(self) -> list[Delay]:
        """Of all turns in which words were recognized."""
        return [delay for result in self.results for delay in result.delays(endpoint_ms=self.endpoint_ms)]

    @property
    def turns(self) -> int:
        """How many turns were spoken."""
        return sum(len(result.turns()) for result in self.results)

    @property
    def late_ms(self) -> list[float]:
        """How late the caller itself was, for every frame."""
        return [late for result in self.results for late in result.playback.late_ms]

    @property
    def cost(self) -> float | None:
        """CPU seconds per second of a track, Redis and all."""
        return None if self.used is None else (self.used.cpu_s + self.used.redis_cpu_s) / self.track_s

    def require_success(self) -> "LoadResult":
        """Itself. Raises ServerUnreachable if a call failed or the server had trouble in one."""
        if self.failures:
            raise ServerUnreachable(f"{len(self.failures)} calls failed; the first: {self.failures[0]}")
        if error_codes := [code for result in self.results for code in result.error_codes]:
            raise ServerUnreachable(f"the server reported {error_codes[0]} in a call of the bench")
        return self


async def play(system: SystemUnderTest, calls: Sequence[Call]) -> LoadResult:
    """Every call in real time, all at once."""
    spread_s = min(SPREAD_S, calls[0].recording.duration_s / 4)

    async def one(number: int, call: Call) -> CallResult | TranscriberError:
        await asyncio.sleep(spread_s * number / len(calls))
        return await _outcome(system, call, speed=1.0)

    return await _gather(system, calls, [one(number, call) for number, call in enumerate(calls)])


async def play_at_full_speed(system: SystemUnderTest, calls: Sequence[Call], *, at_once: int) -> LoadResult:
    """Every call, as fast as it is taken, so many at a time."""
    slots = asyncio.Semaphore(at_once)

    async def one(call: Call) -> CallResult | TranscriberError:
        async with slots:
            return await _outcome(system, call, speed=0.0)

    return await _gather(system, calls, [one(call) for call in calls])


async def _outcome(system: SystemUnderTest, call: Call, *, speed: float) -> CallResult | TranscriberError:
    try:
        return await system.call(call, speed=speed)
    except TranscriberError as error:
        return error


async def _gather(
    system: SystemUnderTest,
    calls: Sequence[Call],
    running: Sequence[Coroutine[None, None, CallResult | TranscriberError]],
) -> LoadResult:
    before, began_s, own_s, all_s = system.resources(), time.monotonic(), time.process_time(), machine_cpu_s()
    results = await asyncio.gather(*running)
    after, wall_s = system.resources(), time.monotonic() - began_s
    used = others_cores = None
    if before is not None and after is not None:
        used = ResourceUse(
            after.cpu_s - before.cpu_s, after.redis_cpu_s - before.redis_cpu_s, after.memory_bytes, after.redis_bytes
        )
        rest_s = machine_cpu_s() - all_s - (time.process_time() - own_s) - used.cpu_s - used.redis_cpu_s
        others_cores = round(max(0.0, rest_s / wall_s), 2)
    return LoadResult(
        results=[result for result in results if isinstance(result, CallResult)],
        failures=[str(result) for result in results if isinstance(result, TranscriberError)],
        used=used,
        track_s=sum(call.track_s for call in calls),
        wall_s=wall_s,
        others_cores=others_cores,
        endpoint_ms=system.endpoint_ms,
    )
