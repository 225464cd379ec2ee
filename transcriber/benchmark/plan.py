"""What is to be measured, handed to every section."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from transcriber.benchmark.material import Call, staggered
from transcriber.benchmark.system_under_test import OpenSystem
from transcriber.benchmark.transcriber_service import run_service
from transcriber.benchmark.vosk_server_peer import open_peer
from transcriber.catalog import ModelFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`seconds` of every call are played in real time, `calls` at once (None: `load` of what there is room for).

    `most_tracks`: how many tracks the server says it has room for. `peer`: a command with `{port}`, or a ws:// address.
    `report` is told each step, on the event loop.
    """

    model: ModelFolder
    material: Sequence[Call]
    report: Callable[[str], None]
    seconds: float
    calls: int | None
    load: float
    bound_ms: float
    budget_s: float
    most_tracks: int
    peer: str | None
    peer_rate: int

    def systems(self, *, gate_off_first: bool = False) -> Iterator[OpenSystem]:
        """Those to be measured one after another: the service (first with its VAD off, if asked for), the peer."""
        if gate_off_first:
            yield run_service(self.model, speech_gate=False)
        yield run_service(self.model)
        if self.peer:
            yield open_peer(self.peer, rate=self.peer_rate, band=self.model.band)

    def excerpts(self) -> list[Call]:
        """The beginnings of the calls, which are played in real time."""
        return [call.cut(self.seconds) for call in self.material]

    def staggered_calls(self, count: int) -> list[Call]:
        """So many excerpts for playing at once, each begun at another place."""
        return staggered(self.excerpts(), count)

    def call_count(self, most_calls: float, *, share: float = 1.0) -> int:
        """How many calls to play at once: as many as were asked for, else a `share` of the load of `most_calls`."""
        return self.calls or max(1, int(self.load * share * most_calls))

    def describe_calls(self, count: int, track_s: float) -> str:
        """Which audio was played, in words."""
        names = ", ".join(call.name for call in self.material[:4])
        more = f" and {len(self.material) - 4} more" if len(self.material) > 4 else ""
        return f"{count} call{'s' * (count != 1)}, {track_s:.0f} s of tracks, from {names}{more}"
