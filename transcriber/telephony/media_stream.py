"""The state machine of one media stream: text messages in, what they mean out. It calls nobody.

WAITING -(start)-> LIVE -(stop)-> OVER. A message that ends the stream at once comes back as `Refused`.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

import msgspec

from transcriber.audio.chunk import SAMPLE_RATE_HZ, SAMPLES_PER_MS
from transcriber.telephony.track_clock import ClockGap, ImplausibleTimestamp, Span, TrackClock
from transcriber.telephony.twilio import messages

REMEMBERED = 256
"""How many sequence numbers back a repeat is recognised."""
LOST_AT_ONCE = 10_000
"""A larger jump of the sequence is nonsense, not loss."""

SPARE_NOTES = 1_000
"""So many keys, and as many gaps, may a stream tell of, and one more per second of audio: each is kept as an event."""


class State(Enum):
    """Where a stream is in its life."""

    WAITING = auto()
    LIVE = auto()
    OVER = auto()


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """The stream was announced and can be used."""

    start: messages.Start


class Audio(msgspec.Struct, frozen=True, gc=False):
    """Mu-law of one track and the position of its first sample (8 kHz samples on the stream's clock)."""

    track: str
    payload: bytes
    at: int


@dataclass(frozen=True, slots=True)
class AudioGap:
    """Audio of a track is missing between two moments of the stream's clock."""

    track: str
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class DtmfReceived:
    """A key was pressed."""

    track: str
    digit: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class StreamFault:
    """Something was wrong and passed over; only a code's first time comes out, `MediaStream.faults` counts all."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class StreamStopped:
    """The sender said that the stream is over."""


@dataclass(frozen=True, slots=True)
class StreamRefused:
    """The stream cannot go on: a WebSocket close code and its reason."""

    close_code: int
    reason: str


Outcome = StreamStarted | Audio | AudioGap | DtmfReceived | StreamFault | StreamStopped | StreamRefused


class MediaStream:
    """One WebSocket's stream. `receive` is cheap and never raises on any text."""

    def __init__(self) -> None:
        self.state = State.WAITING
        self.faults: Counter[str] = Counter()
        self.frames = 0
        self.frames_lost = 0
        self._timelines: dict[str, TrackClock] = {}
        self._samples: Counter[str] = Counter()
        self._notes: Counter[type] = Counter()
        self._last_sequence = 0
        self._recent: deque[int] = deque(maxlen=REMEMBERED)

    def receive(self, text: str) -> list[Outcome]:
        """What the message means, in order."""
        message = messages.parse_message(text)
        if isinstance(message, messages.Media) and self._comes_next(message):
            return self._next_frame(message)  # as nearly always
        if isinstance(message, messages.MalformedMessage) and message.code == "not_json":
            return [StreamRefused(1007, message.message)]
        match self.state:
            case State.WAITING:
                return self._wait(message)
            case State.LIVE:
                return self._live(message)
        return []

    def flush(self) -> list[Outcome]:
        """The stream is over, whoever ended it: audio that waited for more to tell where it lies."""
        return [outcome for track, line in self._timelines.items() for outcome in self._placed(track, line.flush())]

    def audio_ms(self) -> dict[str, int]:
        """Milliseconds of audio received, by track."""
        return {track: self._samples[track] // SAMPLES_PER_MS for track in self._timelines}

    def _wait(self, message: messages.Message) -> list[Outcome]:
        match message:
            case messages.Start():
                return self._start(message)
            case messages.Connected():
                return []
            case messages.MalformedMessage(code="unknown_event"):
                return self._fault(message.code, message.message)
            case messages.MalformedMessage():
                return [StreamRefused(1008, message.message)]
        return [StreamRefused(1008, f"a {type(message).__name__.lower()} message came before start")]

    def _start(self, start: messages.Start) -> list[Outcome]:
        if (start.encoding.lower(), start.sample_rate, start.channels) != ("audio/x-mulaw", SAMPLE_RATE_HZ, 1):
            form = f"{start.encoding} at {start.sample_rate} Hz, {start.channels} channels"
            return [StreamRefused(1003, f"unsupported media format: {form}; send audio/x-mulaw at 8000 Hz, 1 channel")]
        self.state = State.LIVE
        self._timelines = {track: TrackClock() for track in start.tracks}
        if start.sequence is not None:
            self._last_sequence = start.sequence
            self._recent.append(start.sequence)
        return [StreamStarted(start)]

    def _live(self, message: messages.Message) -> list[Outcome]:
        match message:
            case messages.MalformedMessage():
                return self._fault(message.code, message.message)
            case messages.Connected():
                return self._fault("second_connected", "a second connected message came")
            case messages.Start():
                return self._fault("second_start", "a second start message came")
        outcomes: list[Outcome] = []
        if message.sequence is not None:
            if message.sequence != self._last_sequence + 1 and message.sequence in self._recent:
                return self._fault("repeated_sequence", f"sequence number {message.sequence} came again")
            outcomes += self._order(message.sequence)
        match message:
            case messages.Media():
                self.frames += 1
                outcomes += self._media(message)
            case messages.Dtmf():
                at = max(line.end for line in self._timelines.values())
                outcomes += self._note(DtmfReceived(message.track, message.digit, at // SAMPLES_PER_MS))
            case messages.Stop():
                self.state = State.OVER
                outcomes.append(StreamStopped())
        return outcomes

    def _comes_next(self, media: messages.Media) -> bool:
        return media.sequence == self._last_sequence + 1 and self.state is State.LIVE

    def _next_frame(self, media: messages.Media) -> list[Outcome]:
        self._last_sequence += 1
        self._recent.append(self._last_sequence)
        self.frames += 1
        return self._media(media)

    def _order(self, sequence: int) -> list[Outcome]:
        missing = sequence - self._last_sequence - 1
        self._last_sequence = sequence
        self._recent.append(sequence)
        if missing == 0:
            return []
        if not 0 < missing < LOST_AT_ONCE:
            return self._fault("sequence_jump", f"the sequence number jumped to {sequence}")
        self.frames_lost += missing
        return self._fault("messages_lost", f"{missing} messages before sequence number {sequence} never came")

    def _media(self, media: messages.Media) -> list[Outcome]:
        line = self._timelines.get(media.track)
        if line is None:
            return self._fault("unknown_track", f"track {messages.clean(media.track, 40)!r} was never announced")
        self._samples[media.track] += len(media.payload)
        return self._placed(media.track, line.align(media.payload, media.timestamp_ms))

    def _placed(self, track: str, parts: Sequence[Span | ClockGap | ImplausibleTimestamp]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for part in parts:
            if isinstance(part, Span):
                outcomes.append(Audio(track, part.payload, part.at))
                continue
            match part:
                case ClockGap(start, end):
                    outcomes += self._note(AudioGap(track, start // SAMPLES_PER_MS, end // SAMPLES_PER_MS))
                case ImplausibleTimestamp(off_ms):
                    outcomes += self._fault("strange_timestamp", f"a timestamp was {off_ms} ms off and passed over")
        return outcomes

    def _note(self, fact: AudioGap | DtmfReceived) -> list[Outcome]:
        """What becomes an event of its own, as long as the stream's budget of its kind lasts; then it is counted."""
        kind = type(fact)
        if self._notes[kind] >= SPARE_NOTES + self._samples.total() // SAMPLE_RATE_HZ:
            return self._fault("too_many_events", "keys or gaps come faster than they can be kept: the rest is counted")
        self._notes[kind] += 1
        return [fact]

    def _fault(self, code: str, message: str) -> list[Outcome]:
        self.faults[code] += 1
        return [StreamFault(code, message)] if self.faults[code] == 1 else []
