"""The state machine of one media stream: text messages in, what they mean out. It calls nobody. Pure.

WAITING -(start)-> LIVE -(stop)-> OVER. A message that ends the stream at once comes back as `StreamRefused`.
"""

from collections import Counter, deque
from collections.abc import Iterable
from enum import Enum, auto

from transcriber.audio.chunk import SAMPLE_RATE_HZ, SAMPLES_PER_MS, AudioChunk
from transcriber.telephony.outcomes import AudioGap, DtmfReceived, StopReceived, StreamFault, StreamRefused
from transcriber.telephony.track_clock import Aligned, TrackClock
from transcriber.telephony.twilio import messages

REMEMBERED_SEQUENCES = 256
"""How many sequence numbers back a repeat is recognised."""
MAX_LOSS_MESSAGES = 10_000
"""A larger jump of the sequence is nonsense, not loss."""
SPARE_EVENTS = 1_000
"""So many keys, and as many gaps, may a stream report, and one more per second of audio: each is kept as an event."""

Outcome = messages.Start | AudioChunk | AudioGap | DtmfReceived | StreamFault | StopReceived | StreamRefused


class MediaStreamState(Enum):
    """Where a stream is in its life."""

    WAITING = auto()
    LIVE = auto()
    OVER = auto()


class MediaStream:
    """One WebSocket's stream. `receive` is cheap and never raises on any text.

    Of each fault code only the first comes out; `faults` counts all.
    """

    def __init__(self) -> None:
        self.state = MediaStreamState.WAITING
        self.faults: Counter[str] = Counter()
        self.frames = 0
        self.frames_lost = 0
        self._clocks: dict[str, TrackClock] = {}
        self._reported: Counter[type] = Counter()
        self._last_sequence = 0
        self._recent: deque[int] = deque(maxlen=REMEMBERED_SEQUENCES)

    def receive(self, text: str) -> list[Outcome]:
        """What the message means, in order."""
        try:
            frame_message = messages.parse_frame(text)
        except messages.NOT_A_FRAME:
            return self._receive(messages.parse_leniently(text))
        chunk = self._next_frame(frame_message)
        return self._receive(messages.media_of(frame_message)) if chunk is None else [chunk]

    def _receive(self, message: messages.Message) -> list[Outcome]:
        if isinstance(message, StreamFault) and message.code == "not_json":
            return [StreamRefused(1007, message.message)]
        match self.state:
            case MediaStreamState.WAITING:
                return self._wait(message)
            case MediaStreamState.LIVE:
                return self._live(message)
        return []

    def flush(self) -> list[Outcome]:
        """The stream is over, whoever ended it: audio that waited for a later timestamp to confirm where it lies."""
        return [outcome for clock in self._clocks.values() for outcome in self._bounded(clock.flush())]

    def audio_ms(self) -> dict[str, int]:
        """Milliseconds of audio received, by track."""
        return {track: clock.received_samples // SAMPLES_PER_MS for track, clock in self._clocks.items()}

    @property
    def end_ms(self) -> int:
        """Where the audio received ends on the stream's clock, of the track that is ahead."""
        return max((clock.end_sample for clock in self._clocks.values()), default=0) // SAMPLES_PER_MS

    def _wait(self, message: messages.Message) -> list[Outcome]:
        match message:
            case messages.Start():
                return self._start(message)
            case messages.Connected():
                return []
            case StreamFault(code="unknown_event"):
                return self._fault(message)
            case StreamFault():
                return [StreamRefused(1008, message.message)]
        return [StreamRefused(1008, f"a {type(message).__name__.lower()} message came before start")]

    def _start(self, start: messages.Start) -> list[Outcome]:
        if (start.encoding.lower(), start.sample_rate, start.channels) != ("audio/x-mulaw", SAMPLE_RATE_HZ, 1):
            form = f"{start.encoding} at {start.sample_rate} Hz, {start.channels} channels"
            return [StreamRefused(1003, f"unsupported media format: {form}; send audio/x-mulaw at 8000 Hz, 1 channel")]
        self.state = MediaStreamState.LIVE
        self._clocks = {track: TrackClock(track) for track in start.tracks}
        if start.sequence is not None:
            self._last_sequence = start.sequence
            self._recent.append(start.sequence)
        return [start]

    def _live(self, message: messages.Message) -> list[Outcome]:
        match message:
            case StreamFault():
                return self._fault(message)
            case messages.Connected():
                return self._fault(StreamFault("second_connected", "a second connected message came"))
            case messages.Start():
                return self._fault(StreamFault("second_start", "a second start message came"))
        outcomes: list[Outcome] = []
        if message.sequence is not None:
            if message.sequence != self._last_sequence + 1 and message.sequence in self._recent:
                return self._fault(StreamFault("repeated_sequence", f"sequence number {message.sequence} came again"))
            outcomes += self._order(message.sequence)
        match message:
            case messages.Media():
                self.frames += 1
                outcomes += self._media(message)
            case messages.Dtmf():
                key = DtmfReceived(message.track, message.digit, self.end_ms)
                outcomes += self._within_budget(key)
            case messages.Stop():
                self.state = MediaStreamState.OVER
                outcomes.append(StopReceived())
        return outcomes

    def _next_frame(self, message: messages.FrameMessage) -> AudioChunk | None:
        """The audio of the frame that is expected next, as nearly always; None: a message like any other."""
        frame, sequence = message.media, message.sequence
        clock = self._clocks.get(frame.track)
        if clock is None or sequence != self._last_sequence + 1 or self.state is not MediaStreamState.LIVE:
            return None
        chunk = clock.follow(frame.payload, frame.timestamp) if frame.timestamp <= messages.MAX_STREAM_MS else None
        if chunk is not None:
            self._last_sequence = sequence
            self._recent.append(sequence)
            self.frames += 1
        return chunk

    def _order(self, sequence: int) -> list[Outcome]:
        missing = sequence - self._last_sequence - 1
        self._last_sequence = sequence
        self._recent.append(sequence)
        if missing == 0:
            return []
        if not 0 < missing < MAX_LOSS_MESSAGES:
            return self._fault(StreamFault("sequence_jump", f"the sequence number jumped to {sequence}"))
        self.frames_lost += missing
        lost = f"{missing} messages before sequence number {sequence} never came"
        return self._fault(StreamFault("messages_lost", lost))

    def _media(self, media: messages.Media) -> list[Outcome]:
        clock = self._clocks.get(media.track)
        if clock is None:
            unknown = f"track {messages.clean(media.track, 40)!r} was never announced"
            return self._fault(StreamFault("unknown_track", unknown))
        return self._bounded(clock.align(media.payload, media.timestamp_ms))

    def _bounded(self, aligned: Iterable[Aligned]) -> list[Outcome]:
        """All of the audio, and as much of the rest as a stream may report."""
        outcomes: list[Outcome] = []
        for item in aligned:
            if isinstance(item, AudioChunk):
                outcomes.append(item)
            elif isinstance(item, AudioGap):
                outcomes += self._within_budget(item)
            else:
                outcomes += self._fault(item)
        return outcomes

    def _within_budget(self, report: AudioGap | DtmfReceived) -> list[Outcome]:
        """What becomes an event of its own, as long as the stream's budget of its kind lasts; then it is counted."""
        kind = type(report)
        received_samples = sum(clock.received_samples for clock in self._clocks.values())
        if self._reported[kind] >= SPARE_EVENTS + received_samples // SAMPLE_RATE_HZ:
            too_many = "keys or gaps come faster than they can be kept: the rest is counted"
            return self._fault(StreamFault("too_many_events", too_many))
        self._reported[kind] += 1
        return [report]

    def _fault(self, fault: StreamFault) -> list[Outcome]:
        self.faults[fault.code] += 1
        return [fault] if self.faults[fault.code] == 1 else []
