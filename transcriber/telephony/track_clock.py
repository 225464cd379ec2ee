"""One track's clock: where each frame lies and what is missing.

Positions are samples at 8 kHz on the stream's clock (0 = the stream's start), so that nothing is rounded twice.
"""

from transcriber.audio.chunk import SAMPLES_PER_MS, SILENCE, AudioChunk
from transcriber.telephony.outcomes import AudioGap, StreamFault

JITTER_SAMPLES = 10 * SAMPLES_PER_MS
"""Real timestamps are off by some milliseconds: nothing is done about less than this."""
MIN_GAP_SAMPLES = 40 * SAMPLES_PER_MS
"""From two frames on, a jump of the timestamps means that audio is missing."""
MAX_FILLED_GAP_SAMPLES = 2000 * SAMPLES_PER_MS
"""A longer gap is believed when the next frame agrees, and only so much silence is fed for it."""
SLEW_INTERVAL_SAMPLES = 100 * SAMPLES_PER_MS
"""Clocks drift: one sample is given or taken per so many, 1250 ppm."""

Aligned = AudioChunk | AudioGap | StreamFault


class TrackClock:
    """Aligns frames in their order of arrival. Audio is never dropped; gaps become silence, bounded in length."""

    def __init__(self, track: str) -> None:
        self.end_sample = 0
        """Position behind the last frame; 0 before the first."""
        self.received_samples = 0
        """How much audio came, silence for gaps not counted."""
        self._track = track
        self._begun = False
        self._skew = 0
        """Samples that the sender's clock was set back by."""
        self._unconfirmed: AudioChunk | None = None
        """A frame behind a jump that is not believed yet, where its timestamp puts it."""
        self._since_slew = 0

    def follow(self, payload: bytes, timestamp_ms: int) -> AudioChunk | None:
        """The frame's audio if it lies where the last one ended, as nearly always; None: it is one for `align`."""
        start_sample = self.end_sample
        drift = timestamp_ms * SAMPLES_PER_MS - self._skew - start_sample
        if not (-MIN_GAP_SAMPLES < drift < MIN_GAP_SAMPLES and self._begun and self._unconfirmed is None and payload):
            return None
        length = len(payload)
        self.received_samples += length
        self._since_slew += length
        if self._since_slew >= SLEW_INTERVAL_SAMPLES:
            self._slew(drift)
            start_sample = self.end_sample
        self.end_sample = start_sample + length
        return AudioChunk(self._track, payload, start_sample)

    def align(self, payload: bytes, timestamp_ms: int | None) -> list[Aligned]:
        """What one frame means, in order: perhaps an implausible timestamp, a gap and its silence, then its audio.

        A frame whose timestamp jumps far comes out with the next one, which confirms where it lies, or by `flush`.
        """
        self.received_samples += len(payload)
        if not self._begun:
            self._begun = True
            self.end_sample = (timestamp_ms or 0) * SAMPLES_PER_MS
        aligned = [] if self._unconfirmed is None else self._confirm(timestamp_ms, self._unconfirmed)
        if timestamp_ms is not None:
            start_sample = timestamp_ms * SAMPLES_PER_MS - self._skew
            drift = start_sample - self.end_sample
            if abs(drift) < MIN_GAP_SAMPLES:
                self._since_slew += len(payload)
                if self._since_slew >= SLEW_INTERVAL_SAMPLES:
                    self._slew(drift)
            elif 0 < drift <= MAX_FILLED_GAP_SAMPLES:
                aligned += self._gap(start_sample)
            else:
                self._unconfirmed = AudioChunk(self._track, payload, start_sample)
                return aligned
        return aligned + self._next(payload)

    def flush(self) -> list[Aligned]:
        """The track is over: the frame that waits for another, which never came, if there is one."""
        return [] if self._unconfirmed is None else self._confirm(None, self._unconfirmed)

    def _confirm(self, timestamp_ms: int | None, first: AudioChunk) -> list[Aligned]:
        """Place a frame behind a jump, which is believed if the timestamp of the next frame agrees."""
        self._unconfirmed = None
        jump = first.start_sample - self.end_sample
        agreed = (
            timestamp_ms is not None
            and abs(timestamp_ms * SAMPLES_PER_MS - self._skew - first.end_sample) < MIN_GAP_SAMPLES
        )
        if agreed and jump > 0:
            return self._gap(first.start_sample) + self._next(first.payload)
        if agreed:
            self._skew += jump
        off_ms = jump // SAMPLES_PER_MS
        fault = StreamFault("strange_timestamp", f"a timestamp was {off_ms} ms off and passed over")
        return [fault, *self._next(first.payload)]

    def _next(self, payload: bytes) -> list[Aligned]:
        if not payload:
            return []
        start_sample = self.end_sample
        self.end_sample += len(payload)
        return [AudioChunk(self._track, payload, start_sample)]

    def _slew(self, drift: int) -> None:
        self._since_slew = 0
        if abs(drift) > JITTER_SAMPLES:
            self.end_sample += 1 if drift > 0 else -1

    def _gap(self, until_sample: int) -> list[Aligned]:
        start_sample, self.end_sample = self.end_sample, until_sample
        silence = bytes([SILENCE]) * min(until_sample - start_sample, MAX_FILLED_GAP_SAMPLES)
        gap = AudioGap(self._track, start_sample // SAMPLES_PER_MS, until_sample // SAMPLES_PER_MS)
        return [gap, AudioChunk(self._track, silence, start_sample)]
