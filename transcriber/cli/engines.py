"""The models of a server: the default, loaded at start and on request anew, and those that calls ask for."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from transcriber import graphs, sample_calls
from transcriber.caller import read_recording
from transcriber.catalog import ModelFolder, find, installed
from transcriber.config import Settings
from transcriber.core.audio import RATE
from transcriber.engine.capacity import Capacity
from transcriber.engine.models import Models
from transcriber.engine.pool import RecognizerPool
from transcriber.engine.vosk import VoskEngine
from transcriber.errors import ModelError
from transcriber.ports import Engine

log = logging.getLogger(__name__)
WARM_SPEECH_S = 4
Build = tuple[Path, int]
"""Which build of a model is loaded: the folder Vosk reads, and when its acoustic model was written."""


class Engines:
    """Loads models and warms their recognizers. What blocks says so; the rest belongs to the event loop's thread."""

    def __init__(self, settings: Settings, *, workers: int, say: Callable[[str], None]) -> None:
        self.workers = workers
        self._settings = settings
        self._say = say
        self._build: Build | None = None
        self._changing = asyncio.Lock()

    def default(self, engine: Engine | None) -> tuple[RecognizerPool, float]:
        """A warm pool of the model that the settings name, or of `engine`, and what it costs a second. Blocks."""
        if engine is None:
            folder, self._build = self._wanted()
            engine = self._load(folder)
        return self._warm(engine, 2 * self.workers)

    def models(self, default: RecognizerPool) -> Models:
        """The default and whatever else is installed and asked for."""
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return Models(
            default,
            installed=lambda: installed(self._settings.data_dir),
            load=lambda folder: self._warm(VoskEngine(folder), self.workers)[0],
            budget_bytes=self._settings.models_memory_mb << 20 or machine // 2,
        )

    async def change(self, models: Models, capacity: Capacity) -> None:
        """Let new calls have the model that the settings name now, if it is not the one that is loaded.

        It may be newer, or compiled since. Live calls keep theirs. One that cannot be loaded is logged and changes
        nothing.
        """
        async with self._changing:
            try:
                folder, build = await asyncio.to_thread(self._wanted)
                if build == self._build:
                    self._say(f"model: {folder.name} is still the one to use")
                    return
                engine = await asyncio.to_thread(self._load, folder)
                pool, cost = await asyncio.to_thread(self._warm, engine, 2 * self.workers)
            except (ModelError, OSError) as error:
                log.error("the model stays as it is: %s", error)
                return
            self._build = build
            models.swap(pool)
            capacity.restart(speech_cost=cost)
            self._say(f"model: {folder.name} for new calls; room for {capacity.tracks()} tracks at once")

    def _wanted(self) -> tuple[ModelFolder, Build]:
        """What the settings name now. Reads parts of its graphs: blocks. Raises ModelError, OSError."""
        folder = find(self._settings.model, self._settings.data_dir)
        return folder, _build(folder)

    def _load(self, folder: ModelFolder) -> VoskEngine:
        self._say(f"model: loading {folder.name} ({folder.size / 1e6:.0f} MB) from {folder.path}")
        before = time.monotonic()
        engine = VoskEngine(folder)
        log.info("model %s loaded in %.2f s", folder.name, time.monotonic() - before)
        return engine

    def _warm(self, engine: Engine, count: int) -> tuple[RecognizerPool, float]:
        pool = RecognizerPool(engine, keep=max(8, 4 * self.workers), least=self.workers)
        pool.warm(count, warm_speech())
        return pool, pool.cost(_unheard_speech())


def _build(folder: ModelFolder) -> Build:
    acoustic = next(
        (path for path in (folder.path / "am" / "final.mdl", folder.path / "final.mdl") if path.exists()), None
    )
    return graphs.preferred(folder.path), acoustic.stat().st_mtime_ns if acoustic else 0


def warm_speech() -> bytes:
    """What recognizers are warmed on: 8 kHz mu-law."""
    return _speech("outbound", from_s=1)


def _unheard_speech() -> bytes:
    """What the cost of speech is measured on: another voice, other words."""
    return _speech("inbound", from_s=4)


def _speech(side: str, *, from_s: int) -> bytes:
    track = read_recording(sample_calls.path(sample_calls.DEFAULT)).tracks[side]
    return track[from_s * RATE : (from_s + WARM_SPEECH_S) * RATE]
