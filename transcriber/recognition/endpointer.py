"""The speech gate of one track: which audio is worth recognising, and where an utterance ends.

A track is silent most of the time and silence costs as much to decode as speech, so only what a voice detector hears is
passed on, with some audio before (PRE_ROLL) and after it (TAIL). When the voice has been gone for the endpoint's time
the utterance is over; nothing is passed until it is back. Sound that stays as it is (a dial tone, hold music, even
noise) is no voice (`steady`). Other sound in which no word is found for long is not worth it either: the gate dozes and
only looks now and then.
"""

from collections.abc import Callable, Iterator

from transcriber.audio.chunk import SAMPLES_PER_MS
from transcriber.audio.g711 import SILENCE, expand
from transcriber.recognition.endpointer_output import EndOfUtterance, EndpointerOutput, Speech
from transcriber.recognition.preroll import GRID, PRE_ROLL, Beat, PreRoll
from transcriber.recognition.stationary_sound import StationarySoundDetector
from transcriber.settings.endpoint_limits import ENDPOINT_MS

STEP = 20 * SAMPLES_PER_MS
"""What the voice detector judges at a time."""
TAIL = 500 * SAMPLES_PER_MS
"""Silence passed after the voice: the decoder looks ahead, and without it the last word would be cut."""
SOFT_LIMIT = 20_000 * SAMPLES_PER_MS
"""An utterance as long as this ends at the next short pause …"""
SHORT_PAUSE = 200 * SAMPLES_PER_MS
"""… of so much."""
HARD_LIMIT = 30_000 * SAMPLES_PER_MS
"""And at this length anywhere: an utterance that never ends would hold the decoder's memory."""
WORDLESS = 10_000 * SAMPLES_PER_MS
"""Sound without a word for so long makes the gate doze …"""
SUSPENDED = 8_000 * SAMPLES_PER_MS
"""… and it looks again after so much, or after a pause …"""
PROBE = 2_000 * SAMPLES_PER_MS
"""… for so long."""
STRICT_VAD = 60_000 * SAMPLES_PER_MS
"""After an utterance in which no word was found only what surely is a voice counts for so long."""
VOICED_TO_OPEN, OPEN_WINDOW = 2, 0b11111
VOICED_TO_STAY, STAY_WINDOW = 2, 0b111
"""How many of the latest steps (as bits) must be voiced."""


class Endpointer:
    """Cuts a track into utterances. One thread at a time; the result does not depend on how the audio arrived.

    `is_voice` judges one STEP of 16-bit little-endian PCM at 8 kHz, strictly where told so; it may keep a state.
    `beat`: that of the recognizer that is fed, where it is known.
    """

    def __init__(
        self,
        is_voice: Callable[[bytes, bool], bool],
        *,
        endpoint_ms: int = ENDPOINT_MS,
        beat: Beat | None = None,
    ) -> None:
        self._is_voice = is_voice
        self._beat = beat
        self._endpoint = endpoint_ms * SAMPLES_PER_MS
        self._rest = bytearray()
        self._next = 0
        self._voiced = 0
        """The latest steps' verdicts, one bit each."""
        self._steady = StationarySoundDetector()
        self._open = False
        self._quiet = 0
        """Samples since the voice was last heard."""
        self._length = 0
        """Samples of this utterance."""
        self._wordless = 0
        """Samples passed since the last word."""
        self._doze = 0
        """Samples of doze left."""
        self._wary = 0
        """Samples left in which the voice detector is strict."""
        self._fit_at = 0
        """Where what was passed last ended: what is passed next begins whole GRIDs from there."""
        self._held = PreRoll()
        self._reach = beat.longest + STEP * OPEN_WINDOW.bit_length() if beat else PRE_ROLL + GRID
        """Samples held while nothing is passed."""
        self._passages: list[EndpointerOutput] = []

    @property
    def in_speech(self) -> bool:
        """Whether what comes next is passed on at once."""
        return self._open and self._quiet < TAIL

    @property
    def utterance_open(self) -> bool:
        """Whether an utterance is going on, or what is held back may turn out to be one."""
        return self._open or bool(self._steady.in_doubt)

    @property
    def samples_to_endpoint(self) -> int:
        """Samples after which an utterance that goes on would be over, if they were silent."""
        return max(0, self._limit - self._quiet - len(self._rest)) if self._open else self._endpoint

    @property
    def _limit(self) -> int:
        return SHORT_PAUSE if self._length >= SOFT_LIMIT else self._endpoint

    def heard_word(self) -> None:
        """The recogniser found a word in what was passed."""
        self._wordless = 0

    def heard_nothing(self) -> None:
        """The recogniser found no word in the utterance that ended."""
        self._wary = STRICT_VAD

    def push(self, payload: bytes, at: int) -> Iterator[EndpointerOutput]:
        """Mu-law at a position: what of it, and of the audio held before, is to be recognised, in order.

        Goes on only as passages are taken, so that after a Pause it can be told what was found.
        """
        if self._next == 0:
            self._fit_at = at  # a track without a gate would be fed from here
        elif abs(at - self._next) >= STEP:  # clocks drift by a sample now and then
            self._jump(at)
            yield from self._told()
        self._rest += payload
        begun = at + len(payload) - len(self._rest)
        self._next = at + len(payload)
        whole = len(self._rest) // STEP * STEP
        audio = bytes(self._rest[:whole])
        del self._rest[:whole]
        pcm = expand(audio).tobytes()
        for start in range(0, whole, STEP):
            voiced = self._is_voice(pcm[2 * start : 2 * (start + STEP)], self._wary > 0)
            self._wary = max(0, self._wary - STEP)
            self._take(Speech(audio[start : start + STEP], begun + start), voiced=voiced)
            if self._passages and isinstance(self._passages[-1], EndOfUtterance):
                yield from self._told()
        yield from self._told()

    def finish(self) -> list[EndpointerOutput]:
        """The track is over: the rest of an utterance that is going on, which needs no more silence to be decoded."""
        if self._open and self._quiet <= TAIL and self._rest:
            self._pass(Speech(bytes(self._rest), self._next - len(self._rest)))
        self._rest.clear()
        return self._told()

    def _told(self) -> list[EndpointerOutput]:
        passages, self._passages = self._passages, []
        return passages

    def cease(self) -> list[EndpointerOutput]:
        """Nothing more came for long: an utterance that is going on is over, as if silence had come."""
        self._break_off()
        return self._told()

    def _jump(self, at: int) -> None:
        """The clock goes on elsewhere: nothing of this side of the hole reaches over it."""
        self._break_off()
        self._held.take()
        self._voiced = self._doze = 0
        self._fit_at = at

    def _break_off(self) -> None:
        if self._rest:  # part of a step, judged like the one before
            self._take(Speech(bytes(self._rest), self._next - len(self._rest)), voiced=bool(self._voiced & 1))
            self._rest.clear()
        if self._steady.pause():
            if not self._open:
                self._begin()
            self._quiet = 0
            self._release()
        if self._open:
            self._end(self._next)

    def _take(self, step: Speech, *, voiced: bool) -> None:
        doubt = self._steady.in_doubt
        lasting = self._steady.lasting
        self._steady.detect(step.payload, voiced=voiced)
        if lasting and not self._steady.lasting:
            self._voiced = OPEN_WINDOW  # what was in doubt is speech
        else:
            self._voiced = (self._voiced << 1 | (voiced and not self._steady.lasting)) & OPEN_WINDOW
        if self._open:
            self._go_on(step, doubt)
        else:
            self._wait(step, doubt)

    def _wait(self, step: Speech, doubt: int) -> None:
        self._held.hold(step, most=max(PROBE if self._doze else 0, self._reach + doubt))
        if self._doze:
            self._doze = max(0, self._doze - len(step.payload)) if self._voiced else 0
        elif self._voiced.bit_count() >= VOICED_TO_OPEN:
            self._begin()
            voice = step.at - STEP * (self._voiced.bit_length() - 1)
            self._release(self._beat.start(voice, fit_at=self._fit_at) if self._beat and not doubt else None)

    def _begin(self) -> None:
        self._open = True
        self._quiet = self._length = 0
        self._trust()

    def _trust(self) -> None:
        """What begins now may be speech, whatever was before."""
        self._wordless = min(self._wordless, WORDLESS - PROBE)

    def _go_on(self, step: Speech, doubt: int) -> None:
        if (self._voiced & STAY_WINDOW).bit_count() >= VOICED_TO_STAY:
            if self._quiet >= SHORT_PAUSE:
                self._trust()
            self._quiet = 0
            self._release()
        else:
            self._quiet += len(step.payload)
        if self._quiet <= TAIL:
            self._pass(step)
        else:
            self._held.hold(step, most=PRE_ROLL + GRID + doubt)
        self._judge()

    def _judge(self) -> None:
        """Whether the utterance, or our patience with it, ends here."""
        if self._quiet >= self._limit:
            self._end()
        elif self._wordless >= WORDLESS:
            self._doze = SUSPENDED
            self._end()
        elif self._length >= HARD_LIMIT:
            self._length = 0
            self._passages.append(EndOfUtterance())

    def _end(self, until: int | None = None) -> None:
        if self._quiet < TAIL:
            self._pass(Speech(bytes([SILENCE]) * (TAIL - self._quiet), self._fit_at))
        self._passages.append(EndOfUtterance(until))
        self._open = False
        self._voiced = 0

    def _release(self, start: int | None = None) -> None:
        """Pass what is held from `start` on, or all of it but less than one GRID."""
        if (first := self._held.at) is not None:
            start = first if start is None else max(first, start)
            self._held.give_up_before(start + (self._fit_at - start) % GRID)
        for step in self._held.take():
            self._pass(step)

    def _pass(self, speech: Speech) -> None:
        self._fit_at = speech.end
        self._length += len(speech.payload)
        self._wordless += len(speech.payload)
        last = self._passages[-1] if self._passages else None
        if isinstance(last, Speech) and last.end == speech.at:
            self._passages[-1] = Speech(last.payload + speech.payload, last.at)
        else:
            self._passages.append(speech)
