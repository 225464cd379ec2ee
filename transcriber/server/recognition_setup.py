"""Puts a server's recognition together: models, workers, and how many tracks they have capacity for."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from transcriber.catalog import DEMO
from transcriber.recognition.capacity import Capacity
from transcriber.recognition.model_registry import ModelRegistry
from transcriber.recognition.service import RecognitionService
from transcriber.recognition.supervisor.loaded_model import LoadedModel
from transcriber.recognition.worker.protocol import Loaded
from transcriber.runtime.background import run_in_background
from transcriber.server.model_loader import ModelLoader
from transcriber.settings.definition import Settings

CLOSE_UNUSED_S = 1.0


@dataclass(frozen=True, slots=True)
class RecognitionStack:
    """A server's recognition: who decodes, how much of it at once, and who loads models."""

    service: RecognitionService
    capacity: Capacity
    model_loader: ModelLoader

    @property
    def model(self) -> Loaded:
        """The default: the model of new calls that ask for no other."""
        return self.service.models.default.info

    def about(self) -> Mapping[str, Any]:
        """The default model, as the HTTP API describes it."""
        return {"model": self.model.name, "language": self.model.language, "demo": self.model.name == DEMO}

    async def change_model(self) -> None:
        """Look which model the settings name now, and let new calls have it."""
        await self.model_loader.change(self.service.models, self.capacity)


async def open_recognition(
    settings: Settings,
    model_loader: ModelLoader,
    loading: "asyncio.Task[LoadedModel]",
    stack: AsyncExitStack,
) -> RecognitionStack:
    """Recognition, once the default model is loaded; its processes end with the stack. Raises ModelError."""
    model = await loading
    models = model_loader.models(model)
    stack.push_async_callback(models.close)
    run_in_background(stack, _close_unused(models), name="ending models that no call uses")
    service = RecognitionService(
        models=models,
        load=model_loader.load,
        vad_enabled=settings.speech_gate,
        endpoint_ms=settings.endpoint_ms,
        strict=settings.strict_model,
    )
    capacity = Capacity(
        model_loader.load,
        cores=model_loader.cores,
        speech_cost=model.info.speech_cost,
        vad_enabled=settings.speech_gate,
    )
    return RecognitionStack(service, capacity, model_loader)


async def _close_unused(models: ModelRegistry) -> None:
    while True:
        await asyncio.sleep(CLOSE_UNUSED_S)
        await models.close_unused()
