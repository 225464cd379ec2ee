"""What is asked of the bench, handed to every section."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from transcriber.benchmark.material import Call, out_of_step
from transcriber.benchmark.system_under_test import Opening
from transcriber.benchmark.transcriber_service import service
from transcriber.benchmark.vosk_server_peer import peer
from transcriber.catalog import ModelFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`seconds` of every call are played in real time, `calls` at once (None: `load` of what there is room for).

    `most_tracks`: how many tracks the server says it has room for. `peer`: a command with `{port}`, or a ws:// address.
    `say` is told what goes on, on the event loop.
    """

    model: ModelFolder
    material: Sequence[Call]
    say: Callable[[str], None]
    seconds: float
    calls: int | None
    load: float
    bound_ms: float
    budget_s: float
    most_tracks: int
    peer: str | None
    peer_rate: int

    def sides(self, *, ungated: bool = False) -> Iterator[Opening]:
        """Those to be measured one after another: the service (if wanted, first without its gate), the peer."""
        if ungated:
            yield service(self.model, gated=False)
        yield service(self.model)
        if self.peer:
            yield peer(self.peer, rate=self.peer_rate, band=self.model.band)

    def pieces(self) -> list[Call]:
        """The beginnings that are played in real time."""
        return [call.cut(self.seconds) for call in self.material]

    def callers(self, count: int) -> list[Call]:
        """So many of them, for playing at once."""
        return out_of_step(self.pieces(), count)

    def at_once(self, most_calls: float, *, share: float = 1.0) -> int:
        """How many calls, when `most_calls` is all there is room for; a `share` of the load if none were asked for."""
        return self.calls or max(1, int(self.load * share * most_calls))

    def played(self, count: int, track_s: float) -> str:
        """Which audio, in words."""
        names = ", ".join(call.name for call in self.material[:4])
        more = f" and {len(self.material) - 4} more" if len(self.material) > 4 else ""
        return f"{count} call{'s' * (count != 1)}, {track_s:.0f} s of tracks, from {names}{more}"
