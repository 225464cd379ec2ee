"""The ordered recognition of one track: its audio waits, goes to a worker turn by turn, and stays until it is safe.

Safe is audio that a checkpoint of its worker covers: everything after it is heard again when the worker dies.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from transcriber.audio.chunk import SAMPLE_RATE_HZ, SAMPLES_PER_MS, AudioChunk, joined
from transcriber.errors import RecognitionError
from transcriber.recognition.load_monitor import LoadMonitor
from transcriber.recognition.options import RecognitionOptions
from transcriber.recognition.results import RecognitionResults
from transcriber.recognition.supervisor.partial_sequence import PartialSequence
from transcriber.recognition.worker.protocol import Answer, OpenTrack, Turn

log = logging.getLogger(__name__)

TURN_SAMPLES = SAMPLE_RATE_HZ
"""Fed in one turn."""
FIRST_DUE_SAMPLES = 100 * SAMPLES_PER_MS
"""What makes a queue line up as long as its decoder has not said what does."""
MAX_BACKLOG_SAMPLES = 600 * SAMPLE_RATE_HZ
"""A queue's bound, ten minutes. Beyond it new audio is refused, and the session reports the fault."""
COST_TRUST_S = 10.0
"""Seconds of audio that the expected cost counts for against what a track really costs."""
OnResults = Callable[[RecognitionResults], None]
OnFailure = Callable[[RecognitionError], None]


class TurnTaker(Protocol):
    """The worker of a queue: it takes turns, in order."""

    load: LoadMonitor

    def line_up(self, track: "TrackQueue") -> None:
        """Have the next turn of the queue decoded after those that wait."""

    def close_track(self, track: "TrackQueue") -> None:
        """The queue will have no more turns."""


class TrackQueue:
    """One track's. All methods belong to the event loop's thread.

    `on_results` gets what was recognised, in order; `on_failure` why the track cannot be recognised any further.
    `expected_cost`: CPU seconds for a second of its audio, as long as nothing is known.
    """

    def __init__(
        self,
        worker: TurnTaker,
        number: int,
        options: RecognitionOptions,
        *,
        on_results: OnResults,
        on_failure: OnFailure,
        expected_cost: float,
        longest_backlog_samples: int = MAX_BACKLOG_SAMPLES,
    ) -> None:
        self.number = number
        self.pending_samples = 0
        """Samples at 8 kHz that wait or are being recognised."""
        self.lined_up_at = 0.0
        self.deaths = 0
        """How many workers have died of the same audio of it."""
        self._worker = worker
        self._options = options
        self._on_results = on_results
        self._on_failure = on_failure
        self._longest_backlog_samples = longest_backlog_samples
        self._cpu_s, self._audio_s = COST_TRUST_S * expected_cost, COST_TRUST_S
        self._audio: deque[AudioChunk] = deque()
        self._kept: list[AudioChunk] = []
        """Sent, and not covered by the checkpoint."""
        self._checkpoint: bytes | None = None
        self._turn: Turn | None = None
        """In flight, or lined up."""
        self.turn_samples = 0
        self._heard_samples = self._furthest_samples = self._died_at_samples = 0
        """Of the track by this worker; by any worker; and at the end of the turn that a worker died of."""
        self._partials = PartialSequence()
        self._due_samples = FIRST_DUE_SAMPLES
        """What makes it line up."""
        self._queued = self._finishing = self._ending_utterance = self._utterance_open = False
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def cost(self) -> float:
        """CPU seconds for a second of its audio."""
        return self._cpu_s / self._audio_s

    @property
    def replay_samples(self) -> int:
        """What is still to be heard again of what was heard before."""
        return self._furthest_samples - self._heard_samples

    def offer(self, chunk: AudioChunk) -> bool:
        """False: the backlog is full, or recognition has failed; the chunk was not taken."""
        pending_samples = self.pending_samples + len(chunk.payload)
        if pending_samples > self._longest_backlog_samples or self._done.done():
            return False
        self._audio.append(chunk)
        self.pending_samples = pending_samples
        if not self._queued and self._ready():
            self._line_up()
        return True

    def finish(self) -> asyncio.Future[None]:
        """No more audio. Done when all of it was recognised and reported; raises RecognitionError."""
        if not self._finishing:
            self._finishing = True
            if not self._queued and not self._done.done():
                self._line_up()
        return self._done

    def end_utterance(self) -> None:
        """No audio has come for long: what was said so far becomes a final. To be repeated while it lasts."""
        idle = not (self._queued or self._finishing or self._done.done())
        if idle and (self._utterance_open or self.pending_samples):
            self._ending_utterance = True
            self._line_up()

    def next_turn(self) -> Turn:
        """What its worker is to decode next: what waits, TURN_SAMPLES at most."""
        chunks: list[AudioChunk] = []
        taken = 0
        while taken < TURN_SAMPLES and self._audio:
            chunks.append(self._audio.popleft())
            taken += len(chunks[-1].payload)
        self._kept += chunks
        self.turn_samples = taken
        self._turn = Turn(
            self.number,
            [(chunk.start_sample, chunk.payload) for chunk in joined(chunks)],
            last=self._finishing and not self._audio,
            end_utterance=self._ending_utterance and not self._audio,
            skip_lattice=self._worker.load.skips_lattice,
        )
        return self._turn

    def take_answer(self, answer: Answer) -> None:
        """What came of the turn in flight."""
        turn, samples = self._turn, self.turn_samples
        assert turn is not None  # noqa: S101 - the worker answers turns only
        self._turn, self.turn_samples, self._queued = None, 0, False
        self._ending_utterance = self._ending_utterance and not turn.end_utterance
        self._utterance_open, self._due_samples = answer.utterance_open, answer.due_samples
        self.pending_samples -= samples
        self._note_progress(samples, answer.cpu_s)
        if answer.checkpoint is not None or turn.last:
            self._checkpoint = answer.checkpoint
            self._kept.clear()
        self._report(answer.results)
        if answer.error:
            self.fail(RecognitionError(f"recognition failed: {answer.error}"))
        elif turn.last:
            self._done.set_result(None)
            self._worker.close_track(self)
        elif self._finishing or self._ending_utterance or self._ready():
            self._line_up()

    def reopen(self) -> OpenTrack:
        """Its worker is another process: how that one begins. What was sent since the checkpoint is sent again."""
        again = sum(len(chunk.payload) for chunk in self._kept) - self.turn_samples
        self.pending_samples += again
        self._heard_samples -= again
        self._audio.extendleft(reversed(self._kept))
        self._kept.clear()
        self._turn, self.turn_samples = None, 0
        return OpenTrack(self.number, self._options, self._checkpoint)

    def go_on(self) -> None:
        """After `reopen`: line up again if there is something to do."""
        self._queued = False
        if self._finishing or self._ending_utterance or self.replay_samples or self._ready():
            self._line_up()

    def blame(self) -> int:
        """A worker died in this queue's turn. How many have, of the same audio."""
        self.deaths += 1
        self._died_at_samples = self._heard_samples + self.turn_samples
        return self.deaths

    def fail(self, error: RecognitionError) -> None:
        """The track cannot be recognised any further."""
        if self._done.done():
            return
        self._audio.clear()
        self._kept.clear()
        self.pending_samples = 0
        self._done.set_exception(error)
        self._done.exception()  # seen: the session may never ask
        self._worker.close_track(self)
        self._on_failure(error)

    def _ready(self) -> bool:
        pending_samples = self.pending_samples
        return pending_samples >= self._due_samples and pending_samples >= self._worker.load.min_turn_samples

    def _line_up(self) -> None:
        self._queued = True
        self.lined_up_at = time.monotonic()
        self._worker.line_up(self)

    def _note_progress(self, samples: int, cpu_s: float) -> None:
        self._heard_samples += samples
        self._furthest_samples = max(self._furthest_samples, self._heard_samples)
        if self._heard_samples >= self._died_at_samples:
            self.deaths = 0
        self._cpu_s += cpu_s
        self._audio_s += samples / SAMPLE_RATE_HZ

    def _report(self, results: RecognitionResults) -> None:
        replaying = self.replay_samples > 0
        news = [item for item in (self._partials.next(item, replaying=replaying) for item in results) if item]
        try:
            if news:
                self._on_results(news)
        except Exception:  # what becomes of results is not the worker's fault, and other tracks wait
            log.exception("results of a track were not taken")
