"""A model that is ready for calls: the process that holds it, and the workers that its tracks are spread over."""

import asyncio
import itertools
from collections.abc import Sequence

from transcriber.recognition.load_monitor import RecognitionLoad
from transcriber.recognition.options import RecognitionOptions
from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.recognition.supervisor.track_queue import MAX_BACKLOG_SAMPLES, OnFailure, OnResults, TrackQueue
from transcriber.recognition.supervisor.worker import OnDeath, Worker
from transcriber.recognition.worker.protocol import Loaded
from transcriber.runtime.cancellation import cancel

CHECK_S = 0.5
"""Between two looks whether a worker hangs."""


class LoadedModel:
    """All methods belong to the event loop's thread. `info` describes the model.

    `owned`: the process ends with it.
    """

    def __init__(
        self,
        process: ModelProcess,
        info: Loaded,
        *,
        workers: int,
        load: RecognitionLoad,
        on_death: OnDeath = lambda reason: None,
        owned: bool = True,
        longest_backlog_samples: int = MAX_BACKLOG_SAMPLES,
    ) -> None:
        self.info = info
        self.process = process
        self._owned = owned
        self._load = load
        self._monitors = load.group(workers)
        self._workers = [Worker(process, monitor, on_death) for monitor in self._monitors]
        self._longest_backlog_samples = longest_backlog_samples
        self._numbers = itertools.count()
        self._watch: asyncio.Task[None] | None = None

    @property
    def open_tracks(self) -> int:
        """Tracks that are being recognised with it."""
        return sum(worker.tracks for worker in self._workers)

    @property
    def workers(self) -> Sequence[Worker]:
        """All of them."""
        return self._workers

    async def start(self) -> None:
        """Fork the workers. Raises ModelError."""
        for worker in self._workers:
            await worker.start()
        self._watch = asyncio.create_task(self._watch_workers(), name="noticing workers that hang")

    def open(
        self, options: RecognitionOptions, on_results: OnResults, on_failure: OnFailure = lambda error: None
    ) -> TrackQueue:
        """A queue for one track, on the worker whose tracks take least CPU.

        `on_results` is called on the event loop with what was recognised, in order.
        """
        worker = min(self._workers, key=lambda worker: (worker.expected_cores, worker.tracks))
        track = TrackQueue(
            worker,
            next(self._numbers),
            options,
            on_results=on_results,
            on_failure=on_failure,
            expected_cost=self.info.speech_cost,
            longest_backlog_samples=self._longest_backlog_samples,
        )
        worker.open(track)
        return track

    async def unknown(self, words: Sequence[str]) -> tuple[str, ...]:
        """Those of the words that the model has never heard of, in order. Raises ModelError."""
        return await self.process.unknown(words)

    async def close(self) -> None:
        """End its workers; what is not decoded by now never is."""
        if self._watch is not None:
            await cancel(self._watch)
        for worker in self._workers:
            await worker.close()
        self._load.forget(self._monitors)
        if self._owned:
            await self.process.close()

    async def _watch_workers(self) -> None:
        while True:
            await asyncio.sleep(CHECK_S)
            for worker in self._workers:
                await worker.check()
