"""Voice activity and endpointing of one track: which audio is worth decoding, and where an utterance ends. Pure.

A track is silent most of the time and silence costs as much to decode as speech, so only voice is passed on, with a
pre-roll before and a tail after it. When the voice has been gone for the endpoint's time the utterance is over. Sound
without a word for long is not worth decoding either: the endpointer is suspended, and tries it now and then.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from transcriber.audio.chunk import AudioChunk
from transcriber.audio.g711 import SILENCE, expand
from transcriber.recognition.endpointer_parameters import DEFAULTS, EndpointerParameters
from transcriber.recognition.pre_roll import PAUSE_SAMPLES, PreRoll
from transcriber.recognition.stationary_sound import STEP_SAMPLES
from transcriber.recognition.voice_activity import VoiceActivity


@dataclass(frozen=True, slots=True)
class EndOfUtterance:
    """The utterance is over: what was passed so far is all of it.

    `until_sample`: the track has come no further than this position; silence that was passed behind it was made up.
    """

    until_sample: int | None = None


EndpointerOutput = AudioChunk | EndOfUtterance


class EndpointerState(Enum):
    """WAITING -> SPEECH <-> PAUSE -> WAITING, and from SPEECH or PAUSE to SUSPENDED -> WAITING."""

    WAITING = auto()
    """No utterance: audio is held for the pre-roll."""
    SPEECH = auto()
    """An utterance: audio is passed on at once, up to the end of the tail."""
    PAUSE = auto()
    """An utterance whose voice has been gone for longer: audio is held until it is back or the endpoint comes."""
    SUSPENDED = auto()
    """No utterance, though there is sound: no word was found in it."""


WAITING, SPEECH, PAUSE, SUSPENDED = EndpointerState  # Python 3.11 looks a member up in its class ten times as slowly


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
        self._track = ""
        self._rest = bytearray()  # less than a step, not judged yet
        self._next = 0  # the position behind the latest audio
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
        return max(0, self._limit - self._silent - len(self._rest))

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
        if self._next == 0:
            self._track = chunk.track
            self._passed_until = chunk.start_sample  # without an endpointer a track would be fed from here
        elif abs(chunk.start_sample - self._next) >= STEP_SAMPLES:  # clocks drift by a sample now and then
            self._jump(chunk.start_sample)
            yield from self._taken()
        self._rest += chunk.payload
        self._next = chunk.end_sample
        begun = self._next - len(self._rest)
        whole = len(self._rest) // STEP_SAMPLES * STEP_SAMPLES
        audio = bytes(self._rest[:whole])
        del self._rest[:whole]
        pcm = expand(audio).tobytes()
        for start in range(0, whole, STEP_SAMPLES):
            step = AudioChunk(self._track, audio[start : start + STEP_SAMPLES], begun + start)
            self._take(step, pcm[2 * start : 2 * (start + STEP_SAMPLES)])
            if self._outputs and isinstance(self._outputs[-1], EndOfUtterance):
                yield from self._taken()
        yield from self._taken()

    def finish(self) -> list[EndpointerOutput]:
        """The track is over: the rest of an utterance that is going on, which needs no more silence to be decoded."""
        if self._open and self._silent <= self._parameters.tail_samples and self._rest:
            self._pass(self._rest_chunk())
        self._rest.clear()
        return self._taken()

    def end_utterance(self) -> list[EndpointerOutput]:
        """Nothing more came for long: an utterance that is going on is over, as if silence had come."""
        self._break_off()
        return self._taken()

    def _taken(self) -> list[EndpointerOutput]:
        outputs, self._outputs = self._outputs, []
        return outputs

    def _rest_chunk(self) -> AudioChunk:
        return AudioChunk(self._track, bytes(self._rest), self._next - len(self._rest))

    def _jump(self, start_sample: int) -> None:
        """The clock goes on elsewhere: nothing of this side of the gap reaches over it."""
        self._break_off()
        self._held.clear()
        self.state = WAITING
        self._voice.forget()
        self._suspended = 0
        self._passed_until = start_sample

    def _break_off(self) -> None:
        if self._rest:  # part of a step, judged like the one before
            self._take(self._rest_chunk(), None)
            self._rest.clear()
        if self._voice.pause():
            if not self._open:
                self._begin()
            self._hear_voice()
        if self._open:
            self._end(self._next)

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
            self._pass(AudioChunk(self._track, bytes([SILENCE]) * lacking, self._passed_until))
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
            self._outputs[-1] = AudioChunk(self._track, last.payload + speech.payload, last.start_sample)
        else:
            self._outputs.append(speech)
