"""The decoding of one track: what its endpointer passes goes to a recognizer, and what that hears becomes results.

Everything here blocks; one worker thread at a time.
"""

from collections.abc import Iterable, Sequence

from transcriber.audio.chunk import PCM_BYTES_PER_SAMPLE, SAMPLE_RATE_HZ, SAMPLES_PER_MS, AudioChunk, joined
from transcriber.recognition.endpointer import Endpointer, EndpointerOutput
from transcriber.recognition.endpointer_parameters import EndpointerParameters
from transcriber.recognition.hints import Hints
from transcriber.recognition.model_endpointer import ModelEndpointer
from transcriber.recognition.options import RecognitionOptions
from transcriber.recognition.pcm_chunker import BLOCK_SAMPLES, PcmChunker
from transcriber.recognition.ports import Recognizer
from transcriber.recognition.pre_roll import PreRoll
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.recognition.utterance_tracker import FinalResult, PartialResult, RecognitionResults, UtteranceTracker
from transcriber.recognition.vad import WebRtcVad
from transcriber.recognition.word_evidence import WordEvidence
from transcriber.settings.endpoint_limits import ENDPOINT_MS

IDLE_SAMPLES = 200 * SAMPLES_PER_MS
"""How much of a track may go by before the endpointer gets it, while nothing is passed."""
UNSETTLED_WORDS = 2
"""The lattice is only asked which words it has settled on when so many are open."""
UNSEEN_PARTIAL_MS = 1000
"""How often an utterance without partials is looked at all the same, so that the endpointer knows of its words."""

_Results = list[PartialResult | FinalResult | None]


class TrackDecoder:
    """Decodes one track with a recognizer of the pool, borrowed when there is speech and given back at the end."""

    def __init__(self, pool: RecognizerPool, options: RecognitionOptions, checkpoint: bytes | None = None) -> None:
        self._pool = pool
        self._options = options
        self._schedule = pool.chunk_schedule if options.vad_enabled else None
        self._chunker = PcmChunker(pool.engine.band, self._schedule)
        self._endpointer = self._new_endpointer() if options.vad_enabled else ModelEndpointer()
        self._tracker = UtteranceTracker(Hints(options.hints))
        self._evidence = WordEvidence()
        self._recognizer: Recognizer | None = None
        self._model_endpoint_ms = options.endpoint_ms - ENDPOINT_MS if options.vad_enabled else 0
        """The model's own rules end an utterance when they have held it to be over for longer than this …"""
        self._held_over_ms = 0.0
        """… which they have for so long."""
        self._look_at_ms = 0.0
        """Without partials: when to look at the utterance next, in milliseconds fed."""
        self._found_words = False
        """Whether people said something since the endpointer's last EndOfUtterance."""

    def feed(
        self, chunks: Sequence[AudioChunk], *, last: bool, end_utterance: bool = False, skip_lattice: bool = False
    ) -> RecognitionResults:
        """Feed the chunks; at the end of the track also the rest, and give the recognizer back.

        `end_utterance`: nothing has followed them for so long that the utterance is over. `skip_lattice`:
        recognition is behind, so that only what is needed is done.
        """
        results: _Results = []
        fed_samples = self._chunker.fed_samples
        for chunk in joined(chunks):
            results += self._take(self._endpointer.push(chunk))
        if last:
            results += self._take(self._endpointer.finish())
            results += self._close()
        elif end_utterance and self.utterance_open:
            results += self._take(self._endpointer.end_utterance())
        elif self._recognizer is not None and self._chunker.fed_samples != fed_samples:
            results.append(self._partial(self._recognizer, skip_lattice=skip_lattice))
        wanted = (PartialResult, FinalResult) if self._options.partials else FinalResult
        return [result for result in results if isinstance(result, wanted)]

    def checkpoint(self) -> bytes | None:
        """None yet."""
        return None

    @property
    def utterance_open(self) -> bool:
        """Whether an utterance may be going on."""
        return self._endpointer.utterance_open

    @property
    def due_samples(self) -> int:
        """After so many samples more it is worth feeding them: the recognizer moves on, or an utterance may be over."""
        if self._schedule is None:
            return BLOCK_SAMPLES
        to_next = self._chunker.samples_to_next if self._endpointer.in_speech else IDLE_SAMPLES
        return min(to_next, self._endpointer.samples_to_endpoint)

    def give_up(self) -> None:
        """After a failure: the recognizer is not used again."""
        if self._recognizer is not None:
            self._pool.drop(self._recognizer)
            self._recognizer = None

    def _new_endpointer(self) -> Endpointer:
        parameters = EndpointerParameters(endpoint_samples=self._options.endpoint_ms * SAMPLES_PER_MS)
        pre_roll = PreRoll(self._schedule, lambda: self._chunker.fed_samples)
        return Endpointer(WebRtcVad().is_voice, parameters, pre_roll)

    def _take(self, outputs: Iterable[EndpointerOutput]) -> _Results:
        results: _Results = []
        for output in outputs:
            if isinstance(output, AudioChunk):
                self._tracker.timestamps.feed(len(output.payload), output.start_sample)
                results += map(self._accept, self._chunker.push(output.payload))
            else:
                results += self._end_of_utterance(output.until_sample)
        return results

    def _accept(self, block: bytes) -> PartialResult | FinalResult | None:
        """Feed a block; what the utterance was, if the model's rules end it here."""
        if self._recognizer is None:
            self._recognizer = self._pool.take(self._options.grammar)
        held_over = self._recognizer.accept(block)
        block_ms = len(block) / PCM_BYTES_PER_SAMPLE / SAMPLES_PER_MS
        self._held_over_ms = self._held_over_ms + block_ms if held_over else 0.0
        if not held_over or self._held_over_ms <= self._model_endpoint_ms:
            return None
        self._endpointer.model_ended_utterance()
        return self._result(self._recognizer)

    def _end_of_utterance(self, until_sample: int | None) -> _Results:
        results: _Results = [self._accept(block) for block in self._chunker.flush()]
        if self._recognizer is not None:
            results.append(self._result(self._recognizer, until_sample))
        if not self._found_words:
            self._endpointer.on_empty_utterance()
        self._found_words = False
        return results

    def _result(self, recognizer: Recognizer, until_sample: int | None = None) -> PartialResult | FinalResult | None:
        self._held_over_ms = 0.0
        self._chunker.end_utterance()
        until_ms = until_sample and until_sample // SAMPLES_PER_MS
        result = self._tracker.end_utterance(recognizer.result(), until_ms=until_ms)
        if isinstance(result, FinalResult) and self._evidence.is_plausible(result):
            self._endpointer.on_word()
            self._found_words = True
        return result

    def _partial(self, recognizer: Recognizer, *, skip_lattice: bool) -> PartialResult | None:
        if not self._options.partials:
            if self._tracker.timestamps.fed_ms < self._look_at_ms:
                return None
            self._look_at_ms = self._tracker.timestamps.fed_ms + UNSEEN_PARTIAL_MS
            skip_lattice = True
        settled = not skip_lattice and self._tracker.unsettled_words >= UNSETTLED_WORDS
        partial = self._tracker.update(recognizer.partial(settled=settled))
        if partial is not None and self._evidence.is_plausible(partial):
            self._endpointer.on_word()
        return partial

    def _close(self) -> _Results:
        results: _Results = [self._accept(block) for block in self._chunker.flush()]
        recognizer = self._recognizer
        if recognizer is None:
            return results
        results.append(self._tracker.end_utterance(recognizer.finish()))
        self._recognizer = None
        if self._options.grammar:
            self._pool.drop(recognizer)
        else:
            self._pool.give(recognizer, heard_s=self._tracker.timestamps.fed_samples / SAMPLE_RATE_HZ)
        return results
