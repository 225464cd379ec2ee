"""Where an utterance begins: before the voice was noticed, because the beginnings of words are soft. Pure."""

from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from transcriber.audio.chunk import SAMPLES_PER_MS, AudioChunk
from transcriber.recognition.chunk_schedule import ChunkSchedule
from transcriber.recognition.stationary_sound import STEP_SAMPLES
from transcriber.recognition.voice_activity import OPEN_WINDOW

PRE_ROLL_SAMPLES = 300 * SAMPLES_PER_MS
"""Passed from before the voice was noticed …"""
MIN_PRE_ROLL_SAMPLES = 180 * SAMPLES_PER_MS
"""… but so little where the recognizer's chunk schedule is known, …"""
FIRST_WORD_SAMPLES = 520 * SAMPLES_PER_MS
"""… or up to a chunk more, so that it moves on when the voice is there for so long: first words are known by then."""
GRID_SAMPLES = 30 * SAMPLES_PER_MS
"""What is left out is left out in whole numbers of these, as far as the pre-roll allows. Acoustic models look at every

third frame of 10 ms: fed one frame earlier or later, the same speech reads otherwise.
"""


PAUSE_SAMPLES = PRE_ROLL_SAMPLES + GRID_SAMPLES
"""Held in a pause within an utterance."""
OPENING_SAMPLES = STEP_SAMPLES * OPEN_WINDOW.bit_length()
"""The voice is noticed so much after its beginning, at most."""


class HeldStep(msgspec.Struct, frozen=True, array_like=True):
    """A piece of a track's mu-law, and its position."""

    payload: bytes
    start_sample: int


class PreRoll:
    """The latest audio of a track, in order; what is missing in it is silence.

    `schedule`: that of the recognizer, where it is known; `fed_samples` tells what it was fed since it began anew.
    """

    def __init__(self, schedule: ChunkSchedule | None = None, fed_samples: Callable[[], int] = lambda: 0) -> None:
        self._schedule = schedule
        self._fed_samples = fed_samples
        self._held: deque[AudioChunk] = deque()
        self._samples = 0
        self.reach = PAUSE_SAMPLES
        """Samples worth holding before an utterance."""
        if schedule is not None:
            self.reach = MIN_PRE_ROLL_SAMPLES + schedule.every + GRID_SAMPLES + OPENING_SAMPLES

    def hold(self, step: AudioChunk, *, most: int) -> None:
        """Add audio, and give up the oldest until no more than `most` samples are held."""
        self._held.append(step)
        self._samples += len(step.payload)
        while self._samples > most:
            self._samples -= len(self._held.popleft().payload)

    def take(self, voice_sample: int | None, *, aligned_to: int) -> Sequence[AudioChunk]:
        """What is to be passed for a voice at that position, or all if it is None; afterwards nothing is held.

        It begins whole GRIDs from `aligned_to`, the position up to which audio was passed before.
        """
        if self._held:
            start = self._held[0].start_sample
            if voice_sample is not None and self._schedule is not None:
                start = max(start, self._scheduled_start(self._schedule, voice_sample, aligned_to))
            self._drop_before(start + (aligned_to - start) % GRID_SAMPLES)
        taken, self._held, self._samples = self._held, deque(), 0
        return taken

    def clear(self) -> None:
        """Nothing is held any more."""
        self._held.clear()
        self._samples = 0

    def snapshot(self) -> list[HeldStep]:
        """What is held."""
        return [HeldStep(step.payload, step.start_sample) for step in self._held]

    def restore(self, held: Sequence[HeldStep], track: str) -> None:
        """Go on with what was held of the track."""
        self._held = deque(AudioChunk(track, step.payload, step.start_sample) for step in held)
        self._samples = sum(len(step.payload) for step in held)

    def _scheduled_start(self, schedule: ChunkSchedule, voice_sample: int, aligned_to: int) -> int:
        """Where to begin so that the recognizer moves on as soon as the first word should be known."""
        latest = voice_sample - MIN_PRE_ROLL_SAMPLES
        latest -= (latest - aligned_to) % GRID_SAMPLES
        lacking = schedule.samples_to_next(self._fed_samples())
        late = (voice_sample + FIRST_WORD_SAMPLES - latest - lacking) % schedule.every
        if late < GRID_SAMPLES:
            return latest
        return latest - (-late % schedule.every + GRID_SAMPLES - 1) // GRID_SAMPLES * GRID_SAMPLES

    def _drop_before(self, position: int) -> None:
        while self._held and self._held[0].start_sample < position:
            first = self._held.popleft()
            if first.end_sample > position:
                kept = first.payload[position - first.start_sample :]
                self._held.appendleft(AudioChunk(first.track, kept, position))
