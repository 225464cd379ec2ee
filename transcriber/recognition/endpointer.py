"""Voice activity and endpointing of one track: which audio is worth decoding, and where an utterance ends. Pure.

A track is silent most of the time and silence costs as much to decode as speech, so only voice is passed on, with a
pre-roll before and a tail after it. When the voice has been gone for the endpoint's time the utterance is over. Sound
without a word for long is not worth decoding either: the endpointer is suspended, and tries it now and then.
"""

from collections.abc import Callable, Iterator

from transcriber.audio.chunk import SILENCE, AudioChunk
from transcriber.recognition.endpointer_parameters import DEFAULTS, EndpointerParameters
from transcriber.recognition.endpointer_state import (
    PAUSE,
    SPEECH,
    SUSPENDED,
    WAITING,
    EndOfUtterance,
    EndpointerOutput,
    EndpointerSnapshot,
)
from transcriber.recognition.pre_roll import PAUSE_SAMPLES, PreRoll
from transcriber.recognition.stationary_sound import STEP_SAMPLES
from transcriber.recognition.track_steps import TrackSteps
from transcriber.recognition.voice_activity import VoiceActivity


class Endpointer:
    """Cuts a track into utterances. One thread at a time; the result does not depend on how the audio arrived."""

    def __init__(
        self,
        is_voice: Callable[[bytes, bool], bool],
        parameters: EndpointerParameters = DEFAULTS,
        pre_roll: PreRoll | None = None,
    ) -> None:
        self._voice = VoiceActivity(is_voice)
        self._parameters = parameters
        self.state = WAITING
        self._steps = TrackSteps()
        self._passed_until = 0  # the position where what was passed last ended
        # Lengths in samples:
        self._silent = 0  # since the voice was last heard
        self._length = 0  # of this utterance
        self._wordless = 0  # passed since the last word
        self._suspended = 0  # left of being suspended
        self._held = pre_roll or PreRoll()
        self._outputs: list[EndpointerOutput] = []

    @property
    def in_speech(self) -> bool:
        """Whether what comes next is passed on at once."""
        return self.state is SPEECH

    @property
    def utterance_open(self) -> bool:
        """Whether an utterance is going on, or what is held back may turn out to be one."""
        return self._open or self._voice.samples_in_doubt > 0

    @property
    def samples_to_endpoint(self) -> int:
        """Samples after which an utterance that goes on would be over, if they were silent."""
        if not self._open:
            return self._parameters.endpoint_samples
        return max(0, self._limit - self._silent - self._steps.rest_samples)

    @property
    def _open(self) -> bool:
        return self.state is SPEECH or self.state is PAUSE

    @property
    def _limit(self) -> int:
        long = self._length >= self._parameters.soft_limit_samples
        return self._parameters.short_pause_samples if long else self._parameters.endpoint_samples

    def on_word(self) -> None:
        """The recognizer found a word in what was passed."""
        self._wordless = 0

    def on_empty_utterance(self) -> None:
        """The recognizer found no word in the utterance that ended."""
        self._voice.be_strict(self._parameters.strict_vad_samples)

    def model_ended_utterance(self) -> None:
        """The recognizer's own rules ended an utterance that goes on here."""

    def push(self, chunk: AudioChunk) -> Iterator[EndpointerOutput]:
        """What of it, and of the audio held before, is to be decoded, in order.

        Goes on only as outputs are taken, so that after an EndOfUtterance it can be told what was found.
        """
        if self._steps.next == 0:
            self._passed_until = chunk.start_sample  # without an endpointer a track would be fed from here
        elif abs(chunk.start_sample - self._steps.next) >= STEP_SAMPLES:  # clocks drift by a sample now and then
            self._jump(chunk.start_sample)
            yield from self._taken()
        for step, pcm in self._steps.push(chunk):
            self._take(step, pcm)
            if self._outputs and isinstance(self._outputs[-1], EndOfUtterance):
                yield from self._taken()
        yield from self._taken()

    def finish(self) -> list[EndpointerOutput]:
        """The track is over: the rest of an utterance that is going on, which needs no more silence to be decoded."""
        rest = self._steps.take_rest()
        if rest is not None and self._open and self._silent <= self._parameters.tail_samples:
            self._pass(rest)
        return self._taken()

    def end_utterance(self) -> list[EndpointerOutput]:
        """Nothing more came for long: an utterance that is going on is over, as if silence had come."""
        self._break_off()
        return self._taken()

    def snapshot(self) -> EndpointerSnapshot:
        """All that it knows of the track, but what `is_voice` keeps, when all outputs were taken."""
        return EndpointerSnapshot(
            state=self.state,
            steps=self._steps.snapshot(),
            passed_until=self._passed_until,
            silent=self._silent,
            length=self._length,
            wordless=self._wordless,
            suspended=self._suspended,
            voice=self._voice.snapshot(),
            held=self._held.snapshot(),
        )

    def restore(self, snapshot: EndpointerSnapshot) -> None:
        """Go on from there, on a new one. Raises ValueError."""
        self.state = snapshot.state
        self._steps.restore(snapshot.steps)
        self._passed_until = snapshot.passed_until
        self._silent, self._length = snapshot.silent, snapshot.length
        self._wordless, self._suspended = snapshot.wordless, snapshot.suspended
        self._voice.restore(snapshot.voice)
        self._held.restore(snapshot.held, snapshot.steps.track)

    def _taken(self) -> list[EndpointerOutput]:
        outputs, self._outputs = self._outputs, []
        return outputs

    def _jump(self, start_sample: int) -> None:
        """The clock goes on elsewhere: nothing of this side of the gap reaches over it."""
        self._break_off()
        self._held.clear()
        self.state = WAITING
        self._voice.forget()
        self._suspended = 0
        self._passed_until = start_sample

    def _break_off(self) -> None:
        rest = self._steps.take_rest()
        if rest is not None:  # part of a step, judged like the one before
            self._take(rest, None)
        if self._voice.pause():
            if not self._open:
                self._begin()
            self._hear_voice()
        if self._open:
            self._end(self._steps.next)

    def _take(self, step: AudioChunk, pcm: bytes | None) -> None:
        """A step, or without its PCM part of one."""
        doubt = self._voice.detect(step.payload, pcm)
        if self.state is SPEECH or self.state is PAUSE:
            self._go_on(step, doubt)
        else:
            self._wait(step, doubt)

    def _wait(self, step: AudioChunk, doubt: int) -> None:
        suspended = self.state is SUSPENDED
        self._held.hold(step, most=max(self._parameters.probe_samples if suspended else 0, self._held.reach + doubt))
        if suspended:
            self._suspended = max(0, self._suspended - len(step.payload)) if self._voice.lately else 0
            self.state = SUSPENDED if self._suspended else WAITING
        elif self._voice.begins:
            self._begin()
            self._release(None if doubt else step.start_sample - STEP_SAMPLES * self._voice.first_step)

    def _begin(self) -> None:
        self.state = SPEECH
        self._silent = self._length = 0
        self._expect_words()

    def _expect_words(self) -> None:
        """What begins now may be speech, whatever was before."""
        self._wordless = min(self._wordless, self._parameters.wordless_samples - self._parameters.probe_samples)

    def _hear_voice(self) -> None:
        self.state = SPEECH
        self._silent = 0
        self._release()

    def _go_on(self, step: AudioChunk, doubt: int) -> None:
        parameters = self._parameters
        if self._voice.goes_on:
            if self._silent >= parameters.short_pause_samples:
                self._expect_words()
            self._hear_voice()
        else:
            self._silent += len(step.payload)
        if self._silent <= parameters.tail_samples:
            self._pass(step)
        else:
            self._held.hold(step, most=PAUSE_SAMPLES + doubt)
        if self._silent >= parameters.tail_samples:
            self.state = PAUSE
        if self._silent >= self._limit:
            self._end()
        elif self._wordless >= parameters.wordless_samples:
            self._suspended = parameters.suspended_samples
            self._end()
        elif self._length >= parameters.hard_limit_samples:
            self._length = 0
            self._outputs.append(EndOfUtterance())

    def _end(self, until_sample: int | None = None) -> None:
        lacking = self._parameters.tail_samples - self._silent
        if lacking > 0:
            self._pass(AudioChunk(self._steps.track, bytes([SILENCE]) * lacking, self._passed_until))
        self._outputs.append(EndOfUtterance(until_sample))
        self.state = SUSPENDED if self._suspended else WAITING
        self._voice.forget()

    def _release(self, voice_sample: int | None = None) -> None:
        for step in self._held.take(voice_sample, aligned_to=self._passed_until):
            self._pass(step)

    def _pass(self, speech: AudioChunk) -> None:
        self._passed_until = speech.end_sample
        self._length += len(speech.payload)
        self._wordless += len(speech.payload)
        last = self._outputs[-1] if self._outputs else None
        if isinstance(last, AudioChunk) and last.end_sample == speech.start_sample:
            self._outputs[-1] = AudioChunk(last.track, last.payload + speech.payload, last.start_sample)
        else:
            self._outputs.append(speech)
