"""Twice the calls a server has room for: `python -m bench.overload` says what those that were admitted notice of it.

Rounds without and with overload take turns on one server, in real time; delays are told by a Redis subscriber. Those
refused dial again every second. `bench.chaos` plays a small one as its scenario `overload`. Loopback only.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from bench import recordings
from bench.dialling import ADMITTED, REFUSED, try_to_dial
from bench.stage import Finals, Plan, Stage, Verdict, compare
from transcriber.benchmark import load
from transcriber.benchmark.material import Call, from_sample_calls
from transcriber.benchmark.section_report import percentile, ratio
from transcriber.benchmark.transcriber_service import MAX_WAITING, TranscriberService, measure_max_tracks
from transcriber.settings.definition import Settings
from transcriber.store.feed import RedisFeed
from transcriber.telephony.simulator import CallIds, Target, dial

AGAIN_S = 1.0
LOOK_S = 0.2
LET_IN_S = 20.0
MARGIN_S = 1.0
"""Nobody dials so shortly before a call's end, which would free its place."""
MAX_GROWN_MB = 30.0
"""What refused calls may cost at most while they dial again and again."""
MB = 1e6


async def overload(stage: Stage, wanted: Finals) -> Verdict:
    """All tracks in use and as many callers again, who insist. Delay: from the last call's end until one is let in."""
    tracks = len(stage.recording.tracks) * stage.plan.calls
    async with stage.server("data", "--max-tracks", str(tracks)) as (server, url), stage.store() as store:
        async with stage.playing(url) as calls:
            await stage.spoken(store)
            left_s = stage.recording.duration_s - max(stage.played_ms.values()) / 1000
            for_s = left_s / stage.plan.speed - MARGIN_S
            async with _peak(server.pid) as peak:
                answers = await _insist(url, callers=stage.plan.calls, every_s=0.1, for_s=for_s)
            problems = [str(problem) for problem in await calls if problem is not None]
        over_s = time.monotonic()
        await _let_in(url)
        delay_s = time.monotonic() - over_s
        stage.ids.append(CallIds())
        await dial(Target(url=url), stage.recording, ids=stage.ids[-1], speed=stage.plan.speed)
        await stage.ended(store)
        if set(answers) != {REFUSED}:
            problems.append(f"calls beyond the room were answered with {dict(answers)}")
        if peak.most_mb - peak.first_mb > MAX_GROWN_MB:
            problems.append(f"{peak.first_mb:.0f} MB grew to {peak.most_mb:.0f} MB")
        return compare([wanted] * len(stage.ids), await stage.history(store), delay_s, problems)


@dataclass(slots=True)
class Peak:
    """Resident memory of a process at first, and the most there was."""

    first_mb: float
    most_mb: float


@asynccontextmanager
async def _peak(pid: int) -> AsyncIterator[Peak]:
    """Looked at every LOOK_S inside the block."""
    process = psutil.Process(pid)
    peak = Peak(process.memory_info().rss / MB, 0.0)

    async def watch() -> None:
        while True:
            peak.most_mb = max(peak.most_mb, process.memory_info().rss / MB)
            await asyncio.sleep(LOOK_S)

    watching = asyncio.create_task(watch())
    try:
        yield peak
    finally:
        watching.cancel()


async def _insist(url: str, *, callers: int, every_s: float, for_s: float) -> Counter[str]:
    """So many dial every so often: how they were answered."""
    answers: Counter[str] = Counter()
    over_s = time.monotonic() + for_s
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < over_s:
            answers.update(await asyncio.gather(*(try_to_dial(session, Target(url=url)) for _ in range(callers))))
            await asyncio.sleep(every_s)
    return answers


async def _let_in(url: str) -> None:
    """As soon as somebody is. Raises TimeoutError."""
    async with asyncio.timeout(LET_IN_S), aiohttp.ClientSession() as session:
        while await try_to_dial(session, Target(url=url)) != ADMITTED:  # noqa: ASYNC110 - another process
            await asyncio.sleep(LOOK_S / 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One wave of calls. `again`: answers to those who were refused and dialled again."""

    offered: int
    outcome: load.LoadResult
    again: Mapping[str, int]
    most_mb: float

    @property
    def lags_ms(self) -> list[float]:
        """Of finals, after the end of speech less ENDPOINT_MS."""
        return [delay.lag_ms for delay in self.outcome.delays if delay.lag_ms is not None]

    @property
    def failed(self) -> list[str]:
        """Calls that ended otherwise than by a refusal, or had trouble."""
        error_codes = [code for result in self.outcome.results for code in result.error_codes]
        return [failure for failure in self.outcome.failures if "refused the call: 503" not in failure] + error_codes

    def changed(self, alone: Mapping[tuple[str, str], Sequence[str]]) -> int:
        """Tracks that read otherwise than without load."""
        return sum(
            result.words(track) != alone[result.call.name, track]
            for result in self.outcome.results
            for track in result.call.recording.tracks
        )

    def line(self, alone: Mapping[tuple[str, str], Sequence[str]]) -> str:
        """For people."""
        outcome, lags = self.outcome, self.lags_ms
        return (
            f"{self.offered:4} offered: {len(outcome.results)} admitted, {len(outcome.failures)} refused, again "
            f"{dict(self.again)}, failed {self.failed or 0}, tracks changed {self.changed(alone)}; final less endpoint "
            f"p50 {percentile(lags, 50)} p95 {percentile(lags, 95)} ms of {len(lags)}; {self.most_mb:.0f} MB; caller "
            f"late p99 {percentile(outcome.late_ms, 99)} ms; others {outcome.others_cores} cores"
        )


async def _round(
    system: TranscriberService, url: str, pid: int, excerpts: Sequence[Call], *, calls: int, again: int
) -> Round:
    """So many at once, their starts spread; of them `again` dial again each second, once all places are taken."""
    callers = [excerpts[number % len(excerpts)] for number in range(calls)]
    shortest_s = min(piece.recording.duration_s for piece in excerpts)

    async def insisting() -> Counter[str]:
        await asyncio.sleep(load.SPREAD_S + MARGIN_S)
        for_s = shortest_s - load.SPREAD_S - 2 * MARGIN_S
        return await _insist(url, callers=again, every_s=AGAIN_S, for_s=for_s if again else 0)

    async with _peak(pid) as peak:
        outcome, answers = await asyncio.gather(load.play(system, callers), insisting())
    return Round(offered=calls, outcome=outcome, again=answers, most_mb=peak.most_mb)


async def measure(*, tracks: int, rounds: int, seconds: float) -> None:
    """Rounds without and with overload in turn, and the ratio of their delays."""
    excerpts = [call.cut(seconds) for call in from_sample_calls()]
    calm: list[Round] = []
    crowded: list[Round] = []
    with tempfile.TemporaryDirectory(prefix="overload-") as folder:
        stage = Stage(Plan(), Path(folder), None, excerpts[0].recording)
        async with _listened(stage, tracks) as (system, url, pid):
            first = (await load.play(system, excerpts)).require_success().results
            alone = {(one.call.name, track): one.words(track) for one in first for track in one.call.recording.tracks}
            for _ in range(rounds):
                for waves, times in ((calm, 1), (crowded, 2)):
                    calls = times * tracks // 2
                    wave = await _round(system, url, pid, excerpts, calls=calls, again=calls - tracks // 2)
                    waves.append(wave)
                    print(wave.line(alone), flush=True)
            began_s = time.monotonic()
            await _let_in(url)
            print(f"a new call was let in {time.monotonic() - began_s:.2f} s after the last round", flush=True)
            after = await _round(system, url, pid, excerpts, calls=min(len(excerpts), tracks // 2), again=0)
            print(after.line(alone))
    for q in (50, 95):
        ratios = [
            ratio(percentile(over.lags_ms, q), percentile(less.lags_ms, q))
            for less, over in zip(calm, crowded, strict=True)
        ]
        print(f"p{q} with overload / without, by round: {ratios}")
    print(f"most memory with / without: {max(w.most_mb for w in crowded) / max(w.most_mb for w in calm):.2f}")


@asynccontextmanager
async def _listened(stage: Stage, tracks: int) -> AsyncIterator[tuple[TranscriberService, str, int]]:
    """A server with so much room, heard by a subscriber of its Redis."""
    async with stage.server("data", "--max-tracks", str(tracks)) as (server, url), stage.store() as store:
        system = TranscriberService("service", url, server.pid, endpoint_ms=Settings().endpoint_ms, ready_s=0)
        feed = RedisFeed(store.client, store.keys, max_waiting=MAX_WAITING)
        try:
            async with feed.follow() as messages:
                listening = asyncio.create_task(system.listen(messages))
                yield system, url, server.pid
                listening.cancel()
                await asyncio.wait((listening,))
        finally:
            await feed.aclose()


async def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tracks", type=int, default=0, help="room for so many; 0: what a server measures at its start"
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30, help="of each call")
    args = parser.parse_args()
    recordings.heading()
    tracks = args.tracks or await measure_max_tracks(recordings.model("en-demo"))
    print(f"room for {tracks} tracks, calls of {args.seconds:g} s with two", flush=True)
    await measure(tracks=tracks, rounds=args.rounds, seconds=args.seconds)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
