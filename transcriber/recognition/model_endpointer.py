"""In place of an endpointer: everything is passed, and the model's own rules end utterances. Pure."""

from collections.abc import Iterator

from transcriber.audio.chunk import SILENCE, AudioChunk
from transcriber.recognition.endpointer_parameters import DEFAULTS
from transcriber.recognition.endpointer_state import EndOfUtterance, EndpointerOutput, ModelEndpointerSnapshot
from transcriber.telephony.track_clock import MIN_GAP_SAMPLES


class ModelEndpointer:
    """Of one track, with an endpointer's methods. One thread at a time."""

    in_speech = True
    samples_to_endpoint = DEFAULTS.endpoint_samples

    def __init__(self) -> None:
        self.utterance_open = False
        """Whether audio was passed since the latest utterance ended."""
        self._track = ""
        self._next = 0

    def push(self, chunk: AudioChunk) -> Iterator[EndpointerOutput]:
        """All of it. Only a jump of the clock ends an utterance from outside."""
        if self._next and chunk.start_sample - self._next >= MIN_GAP_SAMPLES:
            yield EndOfUtterance(self._next)
        self._track, self._next = chunk.track, chunk.end_sample
        self.utterance_open = True
        yield chunk

    def finish(self) -> list[EndpointerOutput]:
        """Nothing is held back."""
        return []

    def end_utterance(self) -> list[EndpointerOutput]:
        """Nothing more came for long: what lets the recognizer hear the last word, and the end."""
        self.utterance_open = False
        silence = AudioChunk(self._track, bytes([SILENCE]) * DEFAULTS.tail_samples, self._next)
        return [silence, EndOfUtterance(self._next)]

    def model_ended_utterance(self) -> None:
        """What comes next is another one."""
        self.utterance_open = False

    def on_word(self) -> None:
        """Changes nothing."""

    def on_empty_utterance(self) -> None:
        """Changes nothing."""

    def snapshot(self) -> ModelEndpointerSnapshot:
        """Where the track is."""
        return ModelEndpointerSnapshot(self.utterance_open, self._track, self._next)

    def restore(self, snapshot: ModelEndpointerSnapshot) -> None:
        """Go on from there."""
        self.utterance_open, self._track, self._next = snapshot.utterance_open, snapshot.track, snapshot.next
