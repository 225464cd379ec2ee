"""The bundled model, and workers of its own for each test."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest
import vosk

from tests.models import ProcessOf
from transcriber.audio.sample_calls import path
from transcriber.catalog import find, static_graph
from transcriber.recognition.load_monitor import RecognitionLoad
from transcriber.recognition.options import RecognitionOptions
from transcriber.recognition.supervisor.loaded_model import LoadedModel
from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.recognition.supervisor.track_queue import OnFailure, OnResults, TrackQueue
from transcriber.recognition.vosk_engine import VoskEngine
from transcriber.recognition.worker.protocol import ModelSource


@pytest.fixture(scope="session")
def vosk_engine(tmp_path_factory: pytest.TempPathFactory) -> VoskEngine:
    """The bundled demo model, loaded once."""
    return VoskEngine(find("en-demo", tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="session")
def bare_model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same model and graph, loaded by the library alone: long calls read differently on the other graph."""
    return vosk.Model(str(static_graph.folder_to_load(find("en-demo", tmp_path_factory.mktemp("data")).path)))


class Tracks:
    """A model and its workers. Everything is fed, the model's own endpoints are used, unless a test wants ours."""

    def __init__(self, model: LoadedModel) -> None:
        self.model = model

    @property
    def recognizers(self) -> tuple[int, int]:
        """How many are in use and how many wait, over all workers, as of their latest answers."""
        workers = self.model.workers
        return sum(worker.lent for worker in workers), sum(worker.idle for worker in workers)

    def open(
        self,
        on_results: OnResults,
        *,
        on_failure: OnFailure = lambda error: None,
        partials: bool = True,
        gated: bool = False,
        **options: Any,
    ) -> TrackQueue:
        """The queue of one track."""
        chosen = RecognitionOptions(partials=partials, vad_enabled=gated, **options)
        return self.model.open(chosen, on_results, on_failure)


class TracksOf(Protocol):
    """Makes tracks over a model; with `keep` in a process of its own."""

    async def __call__(
        self, source: ModelSource, *, workers: int = 2, keep: int | None = None, **more: Any
    ) -> Tracks: ...


@pytest.fixture
async def tracks_of(process_of: ProcessOf) -> AsyncIterator[TracksOf]:
    """Makes tracks over a model; their workers end with the test."""
    async with AsyncExitStack() as stack:

        async def make(source: ModelSource, *, workers: int = 2, keep: int | None = None, **more: Any) -> Tracks:
            process = process_of(source) if keep is None else ModelProcess(source, keep=keep)
            info = process.info or await process.start()
            model = LoadedModel(process, info, workers=workers, load=RecognitionLoad(), owned=keep is not None, **more)
            stack.push_async_callback(model.close)
            await model.start()
            return Tracks(model)

        yield make


@pytest.fixture(scope="session")
def sample() -> dict[str, bytes]:
    """Both tracks, mu-law, of a short bundled sample call."""
    from transcriber.audio.wav import read_recording

    return dict(read_recording(path("08_short_wrong_department")).tracks)
