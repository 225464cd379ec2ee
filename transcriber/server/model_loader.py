"""The models of a server: the default, loaded at start and on request anew, and those that calls ask for."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from transcriber.catalog import ModelFolder, find, installed, static_graph
from transcriber.catalog.trial import Trials
from transcriber.catalog.vosk_layout import layout_of
from transcriber.errors import ModelError
from transcriber.observability.metrics import Metrics
from transcriber.recognition.capacity import Capacity
from transcriber.recognition.load_monitor import RecognitionLoad
from transcriber.recognition.model_registry import ModelRegistry
from transcriber.recognition.supervisor.loaded_model import LoadedModel
from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.recognition.worker.protocol import ModelSource, VoskModel
from transcriber.runtime.machine import Share
from transcriber.settings.definition import Settings

log = logging.getLogger(__name__)
ModelVersion = tuple[Path, int]
"""Tells one version of a model from another: the folder Vosk reads, and when its acoustic model was written (ns)."""


class ModelLoader:
    """Loads models, each in a process of its own with so many workers; those that were not tried yet after a trial.

    All of it belongs to the event loop's thread, and what takes long happens off it.
    """

    def __init__(self, settings: Settings, metrics: Metrics, *, report: Callable[[str], None]) -> None:
        share = Share.now()
        # Without streams there is only what dead servers have left to transcribe.
        self.workers = settings.workers or (1 if settings.no_media else share.whole_cores)
        self.cores = min(self.workers, share.cores)
        """What the workers can use at once."""
        self._memory = share.memory
        self.load = RecognitionLoad()
        self._metrics = metrics
        self._settings = settings
        self._report = report
        self._loaded: ModelVersion | None = None
        self._trials = Trials(*settings.model_homes, report=report)
        self._changing = asyncio.Lock()

    async def default(self, process: ModelProcess | None) -> LoadedModel:
        """The model that the settings name, or what `process` holds, which goes on after this server."""
        if process is not None:
            return await self._with_workers(process, owned=False)
        folder, self._loaded = await asyncio.to_thread(self._chosen)
        return await self._load_folder(folder)

    def models(self, default: LoadedModel) -> ModelRegistry:
        """The default and whatever else is installed and asked for."""
        return ModelRegistry(
            default,
            installed=lambda: installed(self._settings.models_home),
            load=self._load_folder,
            load_dynamic=self._load_dynamic,
            budget_bytes=self._settings.models_memory_mb << 20 or self._memory // 2,
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
                model = await self._load_folder(folder)
            except (ModelError, OSError) as error:
                log.error("the model stays as it is: %s", error)
                return
            self._loaded = version
            models.swap(model)
            capacity.restart(speech_cost=model.info.speech_cost)
            self._report(f"model: {folder.name} for new calls; room for {capacity.tracks()} tracks at once")

    def _chosen(self) -> tuple[ModelFolder, ModelVersion]:
        """What the settings name now. Reads parts of its graphs: blocks. Raises ModelError, OSError."""
        folder = find(self._settings.model, self._settings.models_home)
        return folder, _version_of(folder)

    async def _load_folder(self, folder: ModelFolder) -> LoadedModel:
        await self._trials.ensure_tried(folder)
        size_mb = await asyncio.to_thread(lambda: folder.size_bytes / 1e6)
        self._report(f"model: loading {folder.name} ({size_mb:.0f} MB) from {folder.path}")
        return await self._start(VoskModel(folder.name, str(folder.path), folder.language, folder.band))

    async def _load_dynamic(self, model: LoadedModel) -> LoadedModel:
        source = model.process.source
        return await self._start(replace(source, dynamic=True) if isinstance(source, VoskModel) else source)

    async def _start(self, source: ModelSource) -> LoadedModel:
        settings = self._settings
        process = ModelProcess(source, log_level=settings.log_level, log_format=settings.log_format)
        try:
            return await self._with_workers(process, owned=True)
        except BaseException:
            await process.close()
            raise

    def _count_death(self, reason: str) -> None:
        self._metrics.worker_deaths.labels(reason).inc()

    async def _with_workers(self, process: ModelProcess, *, owned: bool) -> LoadedModel:
        before = time.monotonic()
        info = process.info or await process.start()
        model = LoadedModel(
            process, info, workers=self.workers, load=self.load, on_death=self._count_death, owned=owned
        )
        try:
            await model.start()
        except BaseException:
            await model.close()
            raise
        log.info("model %s loaded in %.2f s", info.name, time.monotonic() - before)
        log.info("recognition workers run in a sandbox: %s", info.sandbox)
        return model


def _version_of(folder: ModelFolder) -> ModelVersion:
    acoustic = folder.path / layout_of(folder.path).acoustic_model
    return static_graph.folder_to_load(folder.path), acoustic.stat().st_mtime_ns if acoustic.exists() else 0
