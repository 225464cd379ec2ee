"""The decoding of one track: what its endpointer passes goes to a recognizer, and what that hears becomes results.

Everything here blocks, and belongs to one thread.
"""

from collections.abc import Iterable, Sequence

from transcriber.audio.chunk import PCM_BYTES_PER_SAMPLE, SAMPLE_RATE_HZ, SAMPLES_PER_MS, AudioChunk, joined
from transcriber.audio.upsampling import upsample
from transcriber.recognition.checkpoint import Checkpoint, DecodingProgress, decode, encode
from transcriber.recognition.endpointer import Endpointer
from transcriber.recognition.endpointer_parameters import EndpointerParameters
from transcriber.recognition.endpointer_state import EndpointerOutput, EndpointerSnapshot
from transcriber.recognition.fed_audio import FedAudio, Recipe
from transcriber.recognition.hints import Hints
from transcriber.recognition.model_endpointer import ModelEndpointer
from transcriber.recognition.options import RecognitionOptions
from transcriber.recognition.pcm_chunker import BLOCK_SAMPLES, PcmChunker
from transcriber.recognition.ports import Recognizer
from transcriber.recognition.pre_roll import PreRoll
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.recognition.results import FinalResult, PartialResult, RecognitionResults
from transcriber.recognition.utterance_tracker import UtteranceTracker
from transcriber.recognition.vad import WebRtcVad
from transcriber.recognition.word_evidence import WordEvidence
from transcriber.settings.endpoint_limits import ENDPOINT_MS

IDLE_SAMPLES = 200 * SAMPLES_PER_MS
"""How much of a track may go by before the endpointer gets it, while nothing is passed."""
UNSETTLED_WORDS = 2
"""The lattice is only asked which words it has settled on when so many are open."""
CHECKPOINT_SAMPLES = 5 * SAMPLE_RATE_HZ
"""Of a track that is silent, between two checkpoints."""
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
        self._vad = WebRtcVad()
        self._endpointer = self._new_endpointer() if options.vad_enabled else ModelEndpointer()
        self._tracker = UtteranceTracker(Hints(options.hints))
        self._evidence = WordEvidence()
        self._recognizer: Recognizer | None = None
        self._fed = FedAudio(pool.chunk_schedule, adapts=pool.engine.adapts)
        self._recipe: Recipe | None = None
        """How the next recognizer is brought to where that of the checkpoint was."""
        self._unsaved_samples = 0
        """Of the track, since the latest checkpoint."""
        self._heard_before = 0
        """Samples at 8 kHz that were fed to others before this recognizer."""
        self._over = False
        self._progress = DecodingProgress()
        self._model_endpoint_ms = options.endpoint_ms - ENDPOINT_MS if options.vad_enabled else 0
        """The model's own rules end an utterance when they have held it to be over for longer than this."""
        if checkpoint is not None:
            self._resume(decode(checkpoint, pool.engine.model))

    def feed(
        self, chunks: Sequence[AudioChunk], *, last: bool, end_utterance: bool = False, skip_lattice: bool = False
    ) -> RecognitionResults:
        """Feed the chunks; at the end of the track also the rest, and give the recognizer back.

        `end_utterance`: nothing has followed them for so long that the utterance is over. `skip_lattice`:
        recognition is behind, so that only what is needed is done.
        """
        results: _Results = []
        fed_samples = self._chunker.fed_samples
        self._fed.begin_turn()
        self._over |= last
        for chunk in joined(chunks):
            self._unsaved_samples += len(chunk.payload)
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
        """After a `feed`: what another decoder of the same model and options needs to go on as this one will.

        None: none is due. There is one after a `feed` in which an utterance ended, and then every CHECKPOINT_SAMPLES,
        until audio is fed to the recognizer again. So at most an utterance lies in between: 30 s, of sound without a
        word 10 s, without VAD what the model's own rules allow, mostly 20 s. Pauses shorter than `endpoint_ms` come on
        top as far as they are not fed: with the longest, 10 s, it can be 200 s in all (1.6 MB of mu-law).
        """
        due = self._fed.ended_utterance or self._unsaved_samples >= CHECKPOINT_SAMPLES
        if self._over or not due or (recipe := self._fed.recipe) is None:
            return None
        self._unsaved_samples = 0
        return encode(
            Checkpoint(
                model=self._pool.engine.model,
                vad=self._vad.snapshot(),
                endpointer=self._endpointer.snapshot(),
                chunker=self._chunker.snapshot(),
                tracker=self._tracker.snapshot(),
                latest_words=self._evidence.snapshot(),
                progress=self._progress,
                recipe=recipe,
            )
        )

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
        return Endpointer(self._vad.is_voice, parameters, pre_roll)

    def _take(self, outputs: Iterable[EndpointerOutput]) -> _Results:
        results: _Results = []
        for output in outputs:
            if isinstance(output, AudioChunk):
                self._tracker.timestamps.feed(len(output.payload), output.start_sample)
                self._fed.hear(output.payload)
                results += map(self._accept, self._chunker.push(output.payload))
            else:
                results += self._end_of_utterance(output.until_sample)
        return results

    def _accept(self, block: bytes) -> PartialResult | FinalResult | None:
        """Feed a block; what the utterance was, if the model's rules end it here."""
        recognizer = self._borrow()
        held_over = recognizer.accept(block)
        self._fed.feed(block)
        block_ms = len(block) / PCM_BYTES_PER_SAMPLE / SAMPLES_PER_MS
        self._progress.held_over_ms = self._progress.held_over_ms + block_ms if held_over else 0.0
        if not held_over or self._progress.held_over_ms <= self._model_endpoint_ms:
            return None
        self._endpointer.model_ended_utterance()
        return self._result(recognizer)

    def _end_of_utterance(self, until_sample: int | None) -> _Results:
        results: _Results = [self._accept(block) for block in self._chunker.flush()]
        if self._recognizer is not None or self._recipe is not None:
            results.append(self._result(self._borrow(), until_sample))
        if not self._progress.found_words:
            self._endpointer.on_empty_utterance()
        self._progress.found_words = False
        return results

    def _result(self, recognizer: Recognizer, until_sample: int | None = None) -> PartialResult | FinalResult | None:
        self._progress.held_over_ms = 0.0
        heard, bookmark = recognizer.result(), recognizer.bookmark()
        if self._chunker.end_utterance():
            recognizer.finish()
            recognizer.resume(b"", bookmark)
        self._fed.end_utterance(bookmark, self._chunker.fed_samples)
        until_ms = until_sample and until_sample // SAMPLES_PER_MS
        result = self._tracker.end_utterance(heard, until_ms=until_ms)
        if isinstance(result, FinalResult) and self._evidence.is_plausible(result):
            self._endpointer.on_word()
            self._progress.found_words = True
        return result

    def _partial(self, recognizer: Recognizer, *, skip_lattice: bool) -> PartialResult | None:
        if not self._options.partials:
            if self._tracker.timestamps.fed_ms < self._progress.look_at_ms:
                return None
            self._progress.look_at_ms = self._tracker.timestamps.fed_ms + UNSEEN_PARTIAL_MS
            skip_lattice = True
        settled = not skip_lattice and self._tracker.unsettled_words >= UNSETTLED_WORDS
        partial = self._tracker.update(recognizer.partial(settled=settled))
        if partial is not None and self._evidence.is_plausible(partial):
            self._endpointer.on_word()
        return partial

    def _borrow(self) -> Recognizer:
        """The recognizer; after a checkpoint one that is brought to where the other was, as late as can be."""
        if self._recognizer is None:
            self._recognizer = self._pool.take(self._options.grammar)
        recipe, self._recipe = self._recipe, None
        if recipe is not None:
            adaptation = upsample(recipe.heard[: recipe.adaptation_samples], self._pool.engine.band)
            self._recognizer.resume(adaptation + recipe.context, recipe.bookmark)
            for block in recipe.blocks:
                self._recognizer.accept(block)
        return self._recognizer

    def _resume(self, checkpoint: Checkpoint) -> None:
        endpointer = self._endpointer
        if isinstance(endpointer, Endpointer):
            if not isinstance(checkpoint.endpointer, EndpointerSnapshot):
                raise ValueError("a checkpoint of a track without voice activity detection")
            endpointer.restore(checkpoint.endpointer)
        elif isinstance(checkpoint.endpointer, EndpointerSnapshot):
            raise ValueError("a checkpoint of a track with voice activity detection")
        else:
            endpointer.restore(checkpoint.endpointer)
        self._vad.restore(checkpoint.vad)
        self._chunker.restore(checkpoint.chunker)
        self._tracker.restore(checkpoint.tracker)
        self._evidence.restore(checkpoint.latest_words)
        self._progress = checkpoint.progress
        self._fed.resume(checkpoint.recipe)
        self._heard_before = checkpoint.tracker.timestamps.fed_samples - checkpoint.recipe.samples
        if checkpoint.recipe.bookmark or checkpoint.recipe.blocks:
            self._recipe = checkpoint.recipe

    def _close(self) -> _Results:
        results: _Results = [self._accept(block) for block in self._chunker.flush()]
        if self._recognizer is None and self._recipe is None:
            return results
        recognizer = self._borrow()
        results.append(self._tracker.end_utterance(recognizer.finish()))
        self._recognizer = None
        if self._options.grammar:
            self._pool.drop(recognizer)
        else:
            self._pool.give(
                recognizer, heard_s=(self._tracker.timestamps.fed_samples - self._heard_before) / SAMPLE_RATE_HZ
            )
        return results
