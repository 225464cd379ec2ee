"""A lane's side of recognition: the speech gate, upsampling, the recognizer, and what is worth telling.

How the audio is cut for a recognizer depends on its place in what is fed alone, not on how it arrived: words do not
depend on frames or load. Everything here blocks; one worker thread at a time.
"""

from collections.abc import Iterable, Iterator, Sequence

from transcriber.audio.chunk import SAMPLE_RATE_HZ, SAMPLES_PER_MS
from transcriber.audio.g711 import SILENCE
from transcriber.audio.resampler import Upsampler
from transcriber.recognition.chunk_schedule import RESTART
from transcriber.recognition.endpointer import TAIL, Endpointer
from transcriber.recognition.endpointer_output import EndOfUtterance, EndpointerOutput, Speech
from transcriber.recognition.options import RecognitionOptions
from transcriber.recognition.ports import Recognizer
from transcriber.recognition.preroll import Beat
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.recognition.utterance_tracker import FinalResult, PartialResult, UtteranceTracker
from transcriber.recognition.vad import WebRtcVad
from transcriber.settings.endpoint_limits import ENDPOINT_MS
from transcriber.telephony.track_clock import HOLE

BLOCK = 100 * SAMPLES_PER_MS
"""What a recognizer is fed at a time without a gate, as by a plain client of Vosk. With it: what lets it move on."""
IDLE = 200 * SAMPLES_PER_MS
"""How much of a track may go by before the gate hears it, while nothing is passed."""
BYTES_PER_SAMPLE = 4
"""Of 16 kHz 16-bit PCM for one at 8 kHz."""
WORTH_A_LOOK = 2
"""The lattice is only asked which words it has settled on when so many are open."""
SURE = 0.5
"""Mean confidence from which an utterance counts as words, and not as what a model makes of music …"""
MONOTONE = 5
"""… unless it is one word for so many times: of music models make that, too, and are sure of it."""
LISTEN_MS = 1000
"""How often an utterance without partials is looked at all the same, so that the gate knows of its words."""

RecognitionResults = Sequence[PartialResult | FinalResult]


class TrackDecoder:
    """Hears one track."""

    def __init__(self, pool: RecognizerPool, manner: RecognitionOptions) -> None:
        self._pool = pool
        self._manner = manner
        self._rhythm = pool.rhythm if manner.gated else None
        self._gate = self._new_gate() if manner.gated else None
        self._listener = UtteranceTracker(manner.hints)
        self._upsampler = Upsampler(pool.engine.band)
        self._pcm = bytearray()
        self._held_back = 0
        """Samples at 8 kHz that the upsampler has not given out."""
        self._recognizer: Recognizer | None = None
        self._next = 0
        """Without a gate: the position behind what was taken last."""
        self._ended_at = 0
        """Samples at 8 kHz fed up to the end of the latest utterance."""
        self._fed = 0
        """Samples at 16 kHz since the recognizer began anew."""
        self._doubt_ms = 0.0
        """For how long the model has held the utterance to be over."""
        self._look_at_ms = 0.0
        self._found = False
        """Whether there were words since the gate's last pause."""
        self._said: list[str] = []
        """The last words that counted, as long as they are one and the same."""

    def feed(
        self, spans: Sequence[tuple[bytes, int]], *, last: bool, still: bool = False, hurried: bool = False
    ) -> RecognitionResults:
        """Feed the spans; at the end of the track also the rest, and give the recognizer back.

        `still`: nothing has followed them for so long that the utterance is over. `hurried`: recognition is behind, so
        that only what is needed is done.
        """
        heard: list[PartialResult | FinalResult | None] = []
        fed = self._fed
        for payload, at in _joined(spans):
            heard += self._take(self._gate.push(payload, at) if self._gate else self._everything(payload, at))
        if last:
            heard += self._take(self._gate.finish() if self._gate else ())
            heard += self._close()
        elif still and self.open:
            heard += self._take(self._gate.cease() if self._gate else self._silence())
        elif self._recognizer is not None and self._fed != fed:
            heard.append(self._look(self._recognizer, hurried=hurried))
        return [item for item in heard if item is not None and (self._manner.partials or isinstance(item, FinalResult))]

    @property
    def open(self) -> bool:
        """Whether an utterance may be going on."""
        return self._gate.utterance_open if self._gate else self._listener.clock.fed > self._ended_at

    def _silence(self) -> Iterator[EndpointerOutput]:
        """Without a gate: what lets the recognizer hear the last word, and the end."""
        yield Speech(bytes([SILENCE]) * TAIL, self._next)
        yield EndOfUtterance(self._next)

    def _everything(self, payload: bytes, at: int) -> Iterator[EndpointerOutput]:
        """Without a gate: only a leap of the clock ends an utterance from outside."""
        if self._next and at - self._next >= HOLE:
            yield EndOfUtterance(self._next)
        self._next = at + len(payload)
        yield Speech(payload, at)

    def give_up(self) -> None:
        """After a failure: the recognizer is not used again."""
        if self._recognizer is not None:
            self._pool.drop(self._recognizer)
            self._recognizer = None

    def _take(self, passages: Iterable[EndpointerOutput]) -> list[PartialResult | FinalResult | None]:
        heard: list[PartialResult | FinalResult | None] = []
        for passage in passages:
            if isinstance(passage, Speech):
                self._listener.clock.feed(len(passage.payload), passage.at)
                heard += map(self._feed, self._blocks(passage))
            else:
                heard += self._pause(passage.until)
        return heard

    @property
    def due(self) -> int:
        """After so many samples more it is worth to hear them: the recognizer moves on, or an utterance may be over."""
        if self._gate is None or self._rhythm is None:
            return BLOCK
        if not self._gate.in_speech:
            return min(IDLE, self._gate.samples_to_endpoint)
        lacking = self._block_bytes - len(self._pcm)
        return min(
            max(0, lacking // BYTES_PER_SAMPLE + self._upsampler.delay - self._held_back),
            self._gate.samples_to_endpoint,
        )

    def _new_gate(self) -> Endpointer:
        rhythm = self._rhythm
        beat = Beat(rhythm.every // 2, lambda: rhythm.lacking(self._fed) // 2) if rhythm else None
        return Endpointer(WebRtcVad().is_voice, endpoint_ms=self._manner.endpoint_ms, beat=beat)

    @property
    def _block_bytes(self) -> int:
        """What is to be fed next."""
        return 2 * self._rhythm.lacking(self._fed) if self._rhythm else BYTES_PER_SAMPLE * BLOCK

    def _blocks(self, speech: Speech) -> Iterator[bytes]:
        """What is due to be fed now, as PCM."""
        pcm = self._upsampler.push(speech.payload)
        self._held_back += len(speech.payload) - len(pcm) // BYTES_PER_SAMPLE
        self._pcm += pcm
        while len(self._pcm) >= self._block_bytes:
            yield self._cut(self._block_bytes)

    def _rest(self) -> Iterator[bytes]:
        """All that was not fed yet."""
        self._pcm += self._upsampler.flush()
        self._held_back = 0
        while self._pcm:
            yield self._cut(self._block_bytes)

    def _cut(self, size: int) -> bytes:
        block = bytes(self._pcm[:size])
        del self._pcm[:size]
        return block

    def _feed(self, block: bytes) -> PartialResult | FinalResult | None:
        """Let the recognizer hear a block; what the utterance was, if the model holds it to be over."""
        if self._recognizer is None:
            self._recognizer = self._pool.take(self._manner.grammar)
        self._fed += len(block) // 2
        doubtful = self._recognizer.accept(block)
        self._doubt_ms = self._doubt_ms + len(block) / BYTES_PER_SAMPLE / SAMPLES_PER_MS if doubtful else 0.0
        if doubtful and (self._gate is None or self._doubt_ms > self._manner.endpoint_ms - ENDPOINT_MS):
            return self._end(self._recognizer)
        return None

    def _pause(self, until: int | None) -> list[PartialResult | FinalResult | None]:
        heard = [self._feed(block) for block in self._rest()]
        if self._recognizer is not None:
            heard.append(self._end(self._recognizer, until))
        if self._gate is not None and not self._found:
            self._gate.heard_nothing()
        self._found = False
        return heard

    def _end(self, recognizer: Recognizer, until: int | None = None) -> PartialResult | FinalResult | None:
        self._doubt_ms = 0.0
        self._ended_at = self._listener.clock.fed
        self._fed = 0 if self._fed > RESTART else self._fed
        return self._note(self._listener.close(recognizer.result(), until_ms=until and until // SAMPLES_PER_MS))

    def _look(self, recognizer: Recognizer, *, hurried: bool) -> PartialResult | None:
        if not self._manner.partials:
            if self._listener.clock.fed_ms < self._look_at_ms:
                return None
            self._look_at_ms = self._listener.clock.fed_ms + LISTEN_MS
            hurried = True
        settled = not hurried and self._listener.unsettled >= WORTH_A_LOOK
        draft = self._listener.update(recognizer.partial(settled=settled))
        if draft is not None:
            self._credit(draft.text.split(), over=False)
        return draft

    def _note(self, spoken: PartialResult | FinalResult | None) -> PartialResult | FinalResult | None:
        if isinstance(spoken, FinalResult) and spoken.confidence >= SURE:
            self._credit(spoken.text.split(), over=True)
        return spoken

    def _credit(self, words: list[str], *, over: bool) -> None:
        """Let the gate know of the words of an utterance, or of a draft of it, if people may have said them."""
        lately = [*self._said, *words]
        monotone = len(set(lately)) == 1
        if self._gate is not None and words and not (monotone and len(lately) >= MONOTONE):
            self._gate.heard_word()
            self._found |= over
        if over:
            self._said = (lately if monotone else words)[-MONOTONE:]

    def _close(self) -> list[PartialResult | FinalResult | None]:
        heard = [self._feed(block) for block in self._rest()]
        recognizer = self._recognizer
        if recognizer is None:
            return heard
        heard.append(self._listener.close(recognizer.finish()))
        self._recognizer = None
        self._fed = 0
        if self._manner.grammar:
            self._pool.drop(recognizer)
        else:
            self._pool.give(recognizer, heard_s=self._listener.clock.fed / SAMPLE_RATE_HZ)
        return heard


def _joined(spans: Iterable[tuple[bytes, int]]) -> Iterator[tuple[bytes, int]]:
    """The same audio in as few pieces as it can be: upsampling and gate cost by the call, not by the sample."""
    pieces: list[bytes] = []
    start = end = 0
    for payload, at in spans:
        if at != end and pieces:
            yield b"".join(pieces), start
            pieces.clear()
        if not pieces:
            start = end = at
        pieces.append(payload)
        end += len(payload)
    if pieces:
        yield b"".join(pieces), start
