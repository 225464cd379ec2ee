"""The bundled model and lanes of its own for each test."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest
import vosk

from transcriber.audio.sample_calls import path
from transcriber.catalog import find, static_graph
from transcriber.recognition.decode_scheduler import DecodeScheduler, TrackQueue
from transcriber.recognition.options import RecognitionOptions
from transcriber.recognition.ports import Engine
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.recognition.track_decoder import RecognitionResults
from transcriber.recognition.vosk_engine import VoskEngine


@pytest.fixture(scope="session")
def vosk_engine(tmp_path_factory: pytest.TempPathFactory) -> VoskEngine:
    """The bundled demo model, loaded once."""
    return VoskEngine(find("en-demo", tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="session")
def bare_model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same model and graph, loaded by the library alone: long calls read differently on the other graph."""
    return vosk.Model(str(static_graph.preferred(find("en-demo", tmp_path_factory.mktemp("data")).path)))


class Room:
    """Lanes and a pool. Everything is fed, the model's own endpoints are used, unless a test opens a gate."""

    def __init__(self, pool: RecognizerPool, lanes: DecodeScheduler) -> None:
        self.pool = pool
        self.lanes = lanes

    def open(
        self, tell: Callable[[RecognitionResults], None], *, partials: bool = True, gated: bool = False, **manner: Any
    ) -> TrackQueue:
        """A lane for one track."""
        return self.lanes.open(self.pool, tell, manner=RecognitionOptions(partials=partials, gated=gated, **manner))


class LanesOf(Protocol):
    """Makes a room over an engine."""

    def __call__(self, engine: Engine, *, workers: int = 2, keep: int = 8) -> Room: ...


@pytest.fixture
async def lanes_of() -> AsyncIterator[LanesOf]:
    """Makes lanes over an engine; their threads end with the test."""
    async with AsyncExitStack() as stack:

        def make(engine: Engine, *, workers: int = 2, keep: int = 8) -> Room:
            lanes = DecodeScheduler(workers=workers)
            stack.push_async_callback(asyncio.to_thread, lanes.close)
            return Room(RecognizerPool(engine, keep=keep), lanes)

        yield make


@pytest.fixture(scope="session")
def sample() -> dict[str, bytes]:
    """Both tracks, mu-law, of a short bundled sample call."""
    from transcriber.telephony.simulator import read_recording

    return dict(read_recording(path("08_short_wrong_department")).tracks)
