"""The bundled model, and a scheduler of its own for each test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest
import vosk

from transcriber.audio.sample_calls import path
from transcriber.catalog import find, static_graph
from transcriber.recognition.decode_scheduler import DecodeScheduler, OnResults, TrackQueue
from transcriber.recognition.options import RecognitionOptions
from transcriber.recognition.ports import Engine
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.recognition.vosk_engine import VoskEngine


@pytest.fixture(scope="session")
def vosk_engine(tmp_path_factory: pytest.TempPathFactory) -> VoskEngine:
    """The bundled demo model, loaded once."""
    return VoskEngine(find("en-demo", tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="session")
def bare_model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same model and graph, loaded by the library alone: long calls read differently on the other graph."""
    return vosk.Model(str(static_graph.folder_to_load(find("en-demo", tmp_path_factory.mktemp("data")).path)))


class Tracks:
    """A scheduler and a pool. Everything is fed, the model's own endpoints are used, unless a test wants ours."""

    def __init__(self, pool: RecognizerPool, scheduler: DecodeScheduler) -> None:
        self.pool = pool
        self.scheduler = scheduler

    def open(self, on_results: OnResults, *, partials: bool = True, gated: bool = False, **options: Any) -> TrackQueue:
        """The queue of one track."""
        return self.scheduler.open(
            self.pool, on_results, options=RecognitionOptions(partials=partials, vad_enabled=gated, **options)
        )


class TracksOf(Protocol):
    """Makes tracks over an engine."""

    def __call__(self, engine: Engine, *, workers: int = 2, keep: int = 8, **scheduling: Any) -> Tracks: ...


@pytest.fixture
async def tracks_of() -> AsyncIterator[TracksOf]:
    """Makes tracks over an engine; their threads end with the test."""
    async with AsyncExitStack() as stack:

        def make(engine: Engine, *, workers: int = 2, keep: int = 8, **scheduling: Any) -> Tracks:
            scheduler = DecodeScheduler(workers=workers, **scheduling)
            stack.push_async_callback(asyncio.to_thread, scheduler.close)
            return Tracks(RecognizerPool(engine, keep=keep), scheduler)

        yield make


@pytest.fixture(scope="session")
def sample() -> dict[str, bytes]:
    """Both tracks, mu-law, of a short bundled sample call."""
    from transcriber.audio.wav import read_recording

    return dict(read_recording(path("08_short_wrong_department")).tracks)
