"""What came back of one call, and when: utterances by track, matched to the turns in which they were spoken."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from transcriber.audio.sample_calls import Turn
from transcriber.benchmark.material import Call
from transcriber.recognition.word_errors import words_of

LAST_TURN_MS = 2000
"""A turn that ends so close to the end of its recording is not counted: the end of the call would end it."""


class Playback:
    """When a recording was played. The earliest frame is taken to be on time, the others late against it."""

    def __init__(self) -> None:
        self._leads: list[float] = []

    def sent(self, end_ms: int) -> None:
        """Note that audio up to `end_ms` of the recording is sent now."""
        self._leads.append(time.monotonic() * 1000 - end_ms)

    @property
    def began_ms(self) -> float:
        """The moment, of the monotonic clock, at which the recording's first sample was spoken."""
        return min(self._leads, default=0.0)

    @property
    def late_ms(self) -> list[float]:
        """How late each frame was sent."""
        return [lead - self.began_ms for lead in self._leads]


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """A final. `first_ms`, `final_ms`: moments of its first words and of itself, of the monotonic clock.

    `lag_ms`: what it took after the audio that ended it, where that is known by itself.
    """

    track: str
    start_ms: int
    end_ms: int
    text: str
    first_ms: float
    final_ms: float
    lag_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Delay:
    """Of one turn: first words after it began; its final after it ended; the same less what the endpoint waits."""

    first_ms: float | None
    final_ms: float | None
    lag_ms: float | None


@dataclass(slots=True)
class CallResult:
    """A call's outcome. `error_codes`: of the errors that the server reported in it."""

    call: Call
    playback: Playback = field(default_factory=Playback)
    utterances: list[Utterance] = field(default_factory=list)
    error_codes: list[str] = field(default_factory=list)

    def words(self, track: str) -> list[str]:
        """All words recognized on a track, in order."""
        return words_of(" ".join(item.text for item in self.utterances if item.track == track))

    def turns(self) -> list[Turn]:
        """Those that end well before the call does, so that it does not end their utterance."""
        return [turn for turn in self.call.turns if turn.end_ms <= self.call.duration_ms - LAST_TURN_MS]

    def delays(self, *, endpoint_ms: int | None) -> list[Delay]:
        """Of every turn of `turns` in which words were recognized.

        An utterance over several turns gives the beginning of the first and the end of the last; a turn in
        several utterances by its first and its last one.
        """
        found = (self._delay(turn, endpoint_ms) for turn in self.turns())
        return [delay for delay in found if delay is not None]

    def _delay(self, turn: Turn, endpoint_ms: int | None) -> Delay | None:
        parts = [item for item in self.utterances if _overlap(item, turn)]
        if not parts:
            return None
        began_ms = self.playback.began_ms
        first = final = lag = None
        if self._turns_of(parts[0])[0] is turn:
            first = parts[0].first_ms - began_ms - turn.start_ms
        if self._turns_of(parts[-1])[-1] is turn:
            final = parts[-1].final_ms - began_ms - turn.end_ms
            lag = parts[-1].lag_ms if endpoint_ms is None else final - endpoint_ms
        return Delay(first, final, lag)

    def _turns_of(self, utterance: Utterance) -> Sequence[Turn]:
        return [turn for turn in self.call.turns if _overlap(utterance, turn)]


def _overlap(utterance: Utterance, turn: Turn) -> bool:
    same = utterance.track == turn.track
    return same and min(utterance.end_ms, turn.end_ms) > max(utterance.start_ms, turn.start_ms)
