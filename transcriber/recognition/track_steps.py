"""One track's audio, cut into the steps that are judged one after the other. Pure."""

from collections.abc import Iterator

import msgspec

from transcriber.audio.chunk import AudioChunk
from transcriber.audio.g711 import expand
from transcriber.recognition.stationary_sound import STEP_SAMPLES


class StepsSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """`next`: the position behind `rest`."""

    track: str
    rest: bytes
    next: int


class TrackSteps:
    """Cuts STEP_SAMPLES at a time, whatever the audio came in. One thread at a time."""

    def __init__(self) -> None:
        self.track = ""
        self.next = 0
        """The position behind the latest audio; 0 before there was any."""
        self._rest = bytearray()

    @property
    def rest_samples(self) -> int:
        """What is there of the step that comes next."""
        return len(self._rest)

    def push(self, chunk: AudioChunk) -> Iterator[tuple[AudioChunk, bytes]]:
        """The steps that are whole, each with its PCM (16 bits, little-endian). All are to be taken."""
        self.track = chunk.track
        self._rest += chunk.payload
        self.next = chunk.end_sample
        begun = self.next - len(self._rest)
        whole = len(self._rest) // STEP_SAMPLES * STEP_SAMPLES
        audio = bytes(self._rest[:whole])
        del self._rest[:whole]
        pcm = expand(audio).tobytes()
        for start in range(0, whole, STEP_SAMPLES):
            step = AudioChunk(self.track, audio[start : start + STEP_SAMPLES], begun + start)
            yield step, pcm[2 * start : 2 * (start + STEP_SAMPLES)]

    def take_rest(self) -> AudioChunk | None:
        """The part of a step that is there, if any; afterwards none is."""
        if not self._rest:
            return None
        rest = AudioChunk(self.track, bytes(self._rest), self.next - len(self._rest))
        self._rest.clear()
        return rest

    def snapshot(self) -> StepsSnapshot:
        """Where the track is."""
        return StepsSnapshot(self.track, bytes(self._rest), self.next)

    def restore(self, snapshot: StepsSnapshot) -> None:
        """Go on from there."""
        self.track, self.next = snapshot.track, snapshot.next
        self._rest = bytearray(snapshot.rest)
