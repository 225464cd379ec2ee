"""Processes that hold models, started once for many tests and servers."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from transcriber.catalog import find
from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.recognition.worker.protocol import ModelSource, VoskModel


class ProcessOf(Protocol):
    """Gives the process that holds a model; it is started by who uses it first."""

    def __call__(self, source: ModelSource) -> ModelProcess: ...


@contextmanager
def model_processes() -> Iterator[ProcessOf]:
    """They end with the block."""
    started: dict[ModelSource, ModelProcess] = {}

    def process_of(source: ModelSource) -> ModelProcess:
        return started.setdefault(source, ModelProcess(source))

    yield process_of

    async def close() -> None:
        for process in started.values():
            await process.close()

    asyncio.run(close())


def demo(*, dynamic: bool = False) -> VoskModel:
    """The bundled model."""
    folder = find("en-demo", Path("nothing-is-here"))
    return VoskModel(folder.name, str(folder.path), folder.language, folder.band, dynamic)
