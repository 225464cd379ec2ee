"""The models of a server: the default, loaded at start and on request anew, and those that calls ask for."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from transcriber.catalog import ModelFolder, find, home_of, installed, static_graph
from transcriber.catalog.trial import Trials
from transcriber.catalog.vosk_layout import layout_of
from transcriber.errors import ModelError
from transcriber.recognition.capacity import Capacity
from transcriber.recognition.model_registry import ModelRegistry
from transcriber.recognition.ports import Engine
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.recognition.vosk_engine import VoskEngine
from transcriber.recognition.warm_up_speech import unheard_speech, warm_speech
from transcriber.settings.definition import Settings

log = logging.getLogger(__name__)
ModelVersion = tuple[Path, int]
"""Tells one version of a model from another: the folder Vosk reads, and when its acoustic model was written (ns)."""


class ModelLoader:
    """Loads models, those that were not tried yet after a trial, and warms their recognizers.

    All of it belongs to the event loop's thread, and what takes long happens off it.
    """

    def __init__(self, settings: Settings, *, workers: int, report: Callable[[str], None]) -> None:
        self.workers = workers
        self._settings = settings
        self._report = report
        self._loaded: ModelVersion | None = None
        self._trials = Trials(home_of(settings.data_dir), report=report)
        self._changing = asyncio.Lock()

    async def default(self, engine: Engine | None) -> tuple[RecognizerPool, float]:
        """A warm pool of the model that the settings name, or of `engine`, and its CPU seconds per second of speech."""
        if engine is None:
            folder, self._loaded = await asyncio.to_thread(self._chosen)
            engine = await self._load(folder)
        return await asyncio.to_thread(self._warm, engine, 2 * self.workers)

    def models(self, default: RecognizerPool) -> ModelRegistry:
        """The default and whatever else is installed and asked for."""
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return ModelRegistry(
            default,
            installed=lambda: installed(self._settings.data_dir),
            load=self._on_request,
            budget_bytes=self._settings.models_memory_mb << 20 or machine // 2,
        )

    async def change(self, models: ModelRegistry, capacity: Capacity) -> None:
        """Let new calls have the model that the settings name now, if it is not the one that is loaded.

        It may be newer, or compiled since. Live calls keep theirs. One that cannot be loaded is logged and changes
        nothing.
        """
        async with self._changing:
            self._trials.forget_failures()
            try:
                folder, version = await asyncio.to_thread(self._chosen)
                if version == self._loaded:
                    self._report(f"model: {folder.name} is still the one to use")
                    return
                engine = await self._load(folder)
                pool, cost = await asyncio.to_thread(self._warm, engine, 2 * self.workers)
            except (ModelError, OSError) as error:
                log.error("the model stays as it is: %s", error)
                return
            self._loaded = version
            models.swap(pool)
            capacity.restart(speech_cost=cost)
            self._report(f"model: {folder.name} for new calls; room for {capacity.tracks()} tracks at once")

    def _chosen(self) -> tuple[ModelFolder, ModelVersion]:
        """What the settings name now. Reads parts of its graphs: blocks. Raises ModelError, OSError."""
        folder = find(self._settings.model, self._settings.data_dir)
        return folder, _version_of(folder)

    async def _on_request(self, folder: ModelFolder) -> RecognizerPool:
        await self._trials.ensure_tried(folder)
        pool, _ = await asyncio.to_thread(lambda: self._warm(VoskEngine(folder), self.workers))
        return pool

    async def _load(self, folder: ModelFolder) -> VoskEngine:
        await self._trials.ensure_tried(folder)
        return await asyncio.to_thread(self._load_engine, folder)

    def _load_engine(self, folder: ModelFolder) -> VoskEngine:
        self._report(f"model: loading {folder.name} ({folder.size_bytes / 1e6:.0f} MB) from {folder.path}")
        before = time.monotonic()
        engine = VoskEngine(folder)
        log.info("model %s loaded in %.2f s", folder.name, time.monotonic() - before)
        return engine

    def _warm(self, engine: Engine, count: int) -> tuple[RecognizerPool, float]:
        pool = RecognizerPool(engine, keep=max(8, 4 * self.workers), least=self.workers)
        pool.warm(count, warm_speech())
        return pool, pool.cost(unheard_speech())


def _version_of(folder: ModelFolder) -> ModelVersion:
    acoustic = folder.path / layout_of(folder.path).acoustic_model
    return static_graph.folder_to_load(folder.path), acoustic.stat().st_mtime_ns if acoustic.exists() else 0
