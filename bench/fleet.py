"""A day's peak on a fleet of servers, simulated: which calls are refused or cut, and how many server-hours it takes.

`python -m bench.fleet` compares policies. A seeded model in pure Python: Poisson arrivals, lognormal calls of two
tracks, a proxy, a scaler that sees the servers' metrics late. It knows neither machines that fail nor nodes that must
be bought first, so that figures compare policies and promise nothing. `--room` and `--start-s` are a server's own
(`--measure` asks one that is started for it).
"""

import argparse
import heapq
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from bench.estimate import room_and_start

TRACKS = 2
"""Of a call."""
REFUSES_AT = 0.75
"""The share of its CPU at which a server has no more room."""
SCALE_EVERY_S = 15.0
METRICS_AGE_S = 15.0
DOWN_WINDOW_S = 300.0
SIGMA = 0.8
"""Of the logarithm of a call's length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How servers are chosen, added and taken away.

    `scale_on` free tracks: `target` is the share of all tracks that shall be free; cpu: the share that shall be in use.
    """

    scale_on: Literal["free", "cpu"] = "free"
    target: float = 0.25
    choose: Literal["random", "two", "least"] = "least"
    tries: int = 3
    grace_s: float = 3600
    start_s: float = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is offered: live calls rise to `peak`, with a step of 60 % on the way, and fall again."""

    peak: int = 2000
    hours: float = 4
    mean_s: float = 240
    room: int = 100
    """Tracks that a server has room for."""

    def wanted(self, at_s: float) -> float:
        """How many calls would be live if none was refused, at an unchanging rate."""
        points = ((0.0, 0.2), (0.25, 0.5), (0.2501, 0.8), (0.5, 1.0), (0.65, 1.0), (1.0, 0.2))
        at = at_s / (self.hours * 3600)
        for (left, low), (right, high) in pairwise(points):
            if at <= right:
                return self.peak * (low + (high - low) * (at - left) / (right - left))
        return self.peak * points[-1][1]

    def arrivals(self, source: random.Random) -> Iterator[tuple[float, float]]:
        """When a call begins and how long it is, in seconds: a Poisson process by thinning."""
        at_s, most = 0.0, self.peak / self.mean_s
        location = math.log(self.mean_s) - SIGMA**2 / 2
        while (at_s := at_s + source.expovariate(most)) < self.hours * 3600:
            if source.random() * self.peak < self.wanted(at_s):
                yield at_s, source.lognormvariate(location, SIGMA)


@dataclass(slots=True, eq=False)
class Server:
    """One that runs or starts; `tracks` are live."""

    ready_s: float
    tracks: int = 0
    draining: bool = False
    calls: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Over all seeds."""

    offered: int
    refused: int
    cut: int
    server_hours: float

    @property
    def refused_percent(self) -> float:
        """Of what was offered."""
        return 100 * self.refused / self.offered


class Fleet:
    """One run."""

    def __init__(self, load: Load, policy: Policy, seed: int) -> None:
        self._load, self._policy = load, policy
        self._arriving, self._choosing = random.Random(seed), random.Random(seed + 1)
        self._least = max(2, math.ceil(load.wanted(0) * TRACKS / load.room / 0.75))
        self._servers = [Server(0.0) for _ in range(self._least)]
        self._ends: list[tuple[float, int, Server]] = []
        self._deadlines: list[tuple[float, Server]] = []
        self._seen: list[tuple[float, int, int]] = []
        self._asked: list[tuple[float, int]] = []
        self._removed_s = 0.0
        self.offered = self.refused = self.cut = 0
        self.server_s = 0.0

    def run(self) -> None:
        """To the end of the load."""
        next_scale_s = 0.0
        for number, (at_s, length_s) in enumerate(self._load.arrivals(self._arriving)):
            while next_scale_s <= at_s:
                self._end_calls(next_scale_s)
                self._scale(next_scale_s)
                next_scale_s += SCALE_EVERY_S
            self._end_calls(at_s)
            self.offered += 1
            self._admit(number, at_s, length_s)

    def _admit(self, number: int, at_s: float, length_s: float) -> None:
        candidates = [server for server in self._servers if server.ready_s <= at_s]
        for _ in range(self._policy.tries):
            if not candidates:
                break
            server = self._chosen(candidates)
            if server.tracks + TRACKS <= self._load.room:
                server.tracks += TRACKS
                server.calls[number] = at_s + length_s
                heapq.heappush(self._ends, (at_s + length_s, number, server))
                return
            candidates.remove(server)
        self.refused += 1

    def _chosen(self, candidates: Sequence[Server]) -> Server:
        """What the proxy does: it counts its connections, and does not know who is full."""
        if self._policy.choose == "random":
            return self._choosing.choice(candidates)
        if self._policy.choose == "two" and len(candidates) > 2:
            candidates = self._choosing.sample(candidates, 2)
        return min(candidates, key=lambda server: server.tracks)

    def _end_calls(self, at_s: float) -> None:
        while self._ends and self._ends[0][0] <= at_s:
            _, number, server = heapq.heappop(self._ends)
            if server.calls.pop(number, None) is not None:
                server.tracks -= TRACKS
        for deadline_s, server in [each for each in self._deadlines if each[0] <= at_s or not each[1].calls]:
            self.cut += len(server.calls)
            server.calls.clear()
            self._deadlines.remove((deadline_s, server))

    def _scale(self, at_s: float) -> None:
        self.server_s += SCALE_EVERY_S * (len(self._servers) + len(self._deadlines))
        ready = [server for server in self._servers if server.ready_s <= at_s]
        self._seen.append((at_s, sum(server.tracks for server in ready), len(ready)))
        _, live, count = next(seen for seen in reversed(self._seen) if seen[0] <= max(0.0, at_s - METRICS_AGE_S))
        wish = max(self._least, self._wish(live, count))
        self._asked = [asked for asked in self._asked if asked[0] > at_s - DOWN_WINDOW_S] + [(at_s, wish)]
        have = len(self._servers)
        if wish > have:
            for _ in range(min(wish, 2 * have) - have):
                self._servers.append(Server(at_s + self._policy.start_s))
        elif (keep := max(asked for _, asked in self._asked)) < have and at_s - self._removed_s >= 60:
            self._removed_s = at_s
            for _ in range(min(have - keep, max(1, have // 10))):
                self._deadlines.append((at_s + self._policy.grace_s, self._servers.pop()))

    def _wish(self, live: int, count: int) -> int:
        """Servers that the policy wants, by what the metrics said."""
        if self._policy.scale_on == "free":
            return math.ceil(live / (1 - self._policy.target) / self._load.room)
        use = REFUSES_AT * live / (count * self._load.room)
        if abs(use / self._policy.target - 1) <= 0.1:  # as the HorizontalPodAutoscaler does
            return len(self._servers)
        return math.ceil(count * use / self._policy.target)


def simulate(load: Load, policy: Policy, seeds: Sequence[int] = (1, 2)) -> Outcome:
    """The sum over the seeds."""
    fleets = [Fleet(load, policy, seed) for seed in seeds]
    for fleet in fleets:
        fleet.run()
    return Outcome(
        offered=sum(fleet.offered for fleet in fleets),
        refused=sum(fleet.refused for fleet in fleets),
        cut=sum(fleet.cut for fleet in fleets),
        server_hours=sum(fleet.server_s for fleet in fleets) / 3600,
    )


def policies(start_s: float) -> dict[str, Policy]:
    """Those that are compared, by name; the first is the one to recommend."""
    best = Policy(start_s=start_s)
    return {
        "free tracks 25 %": best,
        "free tracks 10 %": replace(best, target=0.10),
        "free tracks 40 %": replace(best, target=0.40),
        "CPU 80 %": replace(best, scale_on="cpu", target=0.80),
        "CPU 60 %": replace(best, scale_on="cpu", target=0.60),
        "25 %, least connections, one try": replace(best, tries=1),
        "25 %, power of two, three tries": replace(best, choose="two"),
        "25 %, power of two, one try": replace(best, choose="two", tries=1),
        "25 %, random, three tries": replace(best, choose="random"),
        "25 %, random, one try": replace(best, choose="random", tries=1),
        "25 %, grace 600 s": replace(best, grace_s=600),
        "25 %, grace 60 s": replace(best, grace_s=60),
        "25 %, start in 20 s": replace(best, start_s=20),
        "25 %, start in 180 s": replace(best, start_s=180),
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peak", type=int, default=2000, help="live calls")
    parser.add_argument("--room", type=int, default=100, help="tracks of a server")
    parser.add_argument("--start-s", type=float, default=90, help="from the wish for a server to its readiness")
    parser.add_argument("--mean-s", type=float, default=240, help="of a call's length")
    parser.add_argument("--measure", action="store_true", help="take room and start time of a server that is started")
    args = parser.parse_args()
    room, start_s = args.room, args.start_s
    if args.measure:
        room, ready_s = room_and_start()
        start_s += ready_s
        print(f"a server here: room for {room} tracks, ready after {ready_s:.1f} s")
    load = Load(peak=args.peak, room=room, mean_s=args.mean_s)
    print(f"{load.peak} calls at the peak, {load.hours:g} h, servers of {room} tracks, started in {start_s:.1f} s")
    print(f"{'policy':34} {'offered':>8} {'refused':>8} {'%':>6} {'cut':>6} {'server-hours':>13}")
    for name, policy in policies(start_s).items():
        found = simulate(load, policy)
        print(
            f"{name:34} {found.offered:8} {found.refused:8} {found.refused_percent:6.2f} "
            f"{found.cut:6} {found.server_hours:13.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
