"""How two plays of the same calls differ, by what was published of them and what history has."""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.published_calls import PublishedCall
from transcriber.telephony.simulator.message_builder import FIRST_TIMESTAMP_MS

LATE_S = 0.2
Key = tuple[int, str, int]
"""Call, track, utterance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Between the same calls, played twice. `changed`: in words; `moved`: in their times or confidences alone.

    `retracted`: partials and finals that take back a word which a partial before called stable; `revisions`: numbers
    that do not go on by one; `delays_ms`: of the finals in whose utterance something died, against the first play.
    """

    finals: int
    lost: int
    repeated: int
    added: int
    changed: int
    moved: int
    retracted: int
    revisions: int
    errors: int
    delays_ms: Sequence[float]

    @property
    def flawless(self) -> bool:
        """Whether no final differs and no partial took anything back."""
        return not (
            self.lost
            or self.repeated
            or self.added
            or self.changed
            or self.moved
            or self.retracted
            or self.revisions
            or self.errors
        )

    def line(self) -> str:
        """For people."""
        return (
            f"{self.finals} finals: {self.lost} lost, {self.repeated} repeated, {self.added} added, {self.changed} "
            f"changed, {self.moved} moved; {self.retracted} stable words taken back, {self.revisions} revisions out of "
            f"order, {self.errors} errors; {in_flight(self.delays_ms)}"
        )


def in_flight(delays_ms: Sequence[float]) -> str:
    """Quantiles, for people."""
    if len(delays_ms) < 2:
        return f"{len(delays_ms)} finals in flight"
    cuts = statistics.quantiles(delays_ms, n=20, method="inclusive")
    worst = max(delays_ms)
    return f"{len(delays_ms)} finals in flight, later by p50 {cuts[9]:.0f}, p95 {cuts[18]:.0f}, max {worst:.0f} ms"


def spread(seconds: Sequence[float]) -> str:
    """For people."""
    return f"median {statistics.median(seconds):.2f}, max {max(seconds):.2f} s"


def compare(peace: Sequence[PublishedCall], trouble: Sequence[PublishedCall], deaths: Sequence[float]) -> Differences:
    """`deaths`: moments on the monotonic clock of the second play."""
    wanted, there = _finals(peace), _finals(trouble)
    counts = Counter(_keys(trouble))
    both = [(wanted[key], there[key]) for key in wanted.keys() & there.keys()]
    texts = [(one["text"], other["text"]) for one, other in both]
    said = [(_said(one), _said(other)) for one, other in both]
    changed = sum(one != other for one, other in texts)
    return Differences(
        finals=len(wanted),
        lost=len(wanted.keys() - there.keys()),
        added=len(there.keys() - wanted.keys()),
        repeated=sum(count - 1 for count in counts.values()),
        changed=changed,
        moved=sum(one != other for one, other in said) - changed,
        retracted=sum(map(_retracted, trouble)),
        revisions=sum(map(_revisions, trouble)),
        errors=sum(event["type"] == "stream.error" for call in trouble for _, event in call.events),
        delays_ms=_delays_ms(peace, trouble, deaths),
    )


def _keys(calls: Sequence[PublishedCall]) -> list[Key]:
    """Of each final in history."""
    return [
        (number, event["track"], event["utterance"])
        for number, call in enumerate(calls)
        for event in call.kept
        if event["type"] == "final"
    ]


def _finals(calls: Sequence[PublishedCall]) -> dict[Key, dict[str, Any]]:
    found = [event for call in calls for event in call.kept if event["type"] == "final"]
    return dict(zip(_keys(calls), found, strict=True))


def _said(final: dict[str, Any]) -> object:
    """What must not differ."""
    return final["text"], final["start_ms"], final["end_ms"], final["words"]


def _utterances(call: PublishedCall) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Partials and the final of each utterance, as they were published."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for _, event in call.events:
        if event["type"] in ("partial", "final"):
            found.setdefault((event["track"], event["utterance"]), []).append(event)
    return found


def _retracted(call: PublishedCall) -> int:
    count = 0
    for events in _utterances(call).values():
        stable: list[str] = []
        for event in events:
            count += event["text"].split()[: len(stable)] != stable
            stable = event["text"].split()[: event.get("stable", 0)]
    return count


def _revisions(call: PublishedCall) -> int:
    count = 0
    for events in _utterances(call).values():
        numbers = [event["revision"] for event in events if event["type"] == "partial"]
        count += sum(number != before + 1 for before, number in zip([0, *numbers], numbers, strict=False))
    return count


def _moments(calls: Sequence[PublishedCall]) -> dict[Key, tuple[float, float]]:
    """When the utterance of each final began and when the final was published, in seconds of its call."""
    found: dict[Key, tuple[float, float]] = {}
    for number, call in enumerate(calls):
        for at, event in call.events:
            if event["type"] == "final":
                begin = (event["start_ms"] - FIRST_TIMESTAMP_MS) / 1000
                found.setdefault((number, event["track"], event["utterance"]), (begin, at - call.began_s))
    return found


def _delays_ms(
    peace: Sequence[PublishedCall], trouble: Sequence[PublishedCall], deaths: Sequence[float]
) -> list[float]:
    """Of the finals whose utterance was going on at a death, or which were on their way: those of all workers."""
    found, first, second = [], _moments(peace), _moments(trouble)
    for key in sorted(first.keys() & second.keys()):
        begin, published = first[key]
        died = [moment - trouble[key[0]].began_s for moment in deaths]
        if any(begin <= moment <= published for moment in died):
            found.append(1000 * (second[key][1] - published))
    return found


def caught_up_s(
    peace: Sequence[PublishedCall], trouble: Sequence[PublishedCall], deaths: Sequence[float]
) -> list[float]:
    """For each death the seconds to the last event before the next death that came LATE_S later than in peace."""
    first, second = _published(peace), _published(trouble)
    late = sorted(at + trouble[key[0]].began_s for key, at in second.items() if at - first.get(key, math.inf) > LATE_S)
    ends = [*deaths[1:], math.inf]
    return [
        max((at for at in late if died <= at < end), default=died) - died
        for died, end in zip(deaths, ends, strict=True)
    ]


def _published(calls: Sequence[PublishedCall]) -> dict[tuple[int, str, int, str, str], float]:
    """When each partial and final was published first, in seconds of its call."""
    found: dict[tuple[int, str, int, str, str], float] = {}
    for number, call in enumerate(calls):
        for at, event in call.events:
            if event["type"] in ("partial", "final"):
                key = (number, event["track"], event["utterance"], event["type"], event["text"])
                found.setdefault(key, at - call.began_s)
    return found
