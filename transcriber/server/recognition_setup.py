"""Puts a server's recognition together: decoding threads, models, and how many tracks they have capacity for."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from transcriber.catalog import DEMO
from transcriber.recognition.capacity import Capacity
from transcriber.recognition.decode_scheduler import DecodeScheduler
from transcriber.recognition.ports import Engine
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.recognition.service import RecognitionService
from transcriber.server.model_loader import ModelLoader
from transcriber.settings.definition import Settings


@dataclass(frozen=True, slots=True)
class RecognitionStack:
    """A server's recognition: who decodes, how much of it at once, and who loads models."""

    service: RecognitionService
    capacity: Capacity
    model_loader: ModelLoader

    @property
    def engine(self) -> Engine:
        """The default: the engine of new calls that ask for no other."""
        return self.service.models.default.engine

    def about(self) -> Mapping[str, Any]:
        """The default engine, as the HTTP API describes it."""
        return {"model": self.engine.model, "language": self.engine.language, "demo": self.engine.model == DEMO}

    async def change_model(self) -> None:
        """Look which model the settings name now, and let new calls have it."""
        await self.model_loader.change(self.service.models, self.capacity)


async def open_recognition(
    settings: Settings,
    model_loader: ModelLoader,
    loading: "asyncio.Task[tuple[RecognizerPool, float]]",
    stack: AsyncExitStack,
) -> RecognitionStack:
    """Recognition, once the default model is loaded; its threads end with the stack. Raises ModelError."""
    pool, cost = await loading
    scheduler = DecodeScheduler(workers=model_loader.workers)
    stack.push_async_callback(asyncio.to_thread, scheduler.close)
    service = RecognitionService(
        scheduler=scheduler,
        models=model_loader.models(pool),
        vad_enabled=settings.speech_gate,
        endpoint_ms=settings.endpoint_ms,
        strict=settings.strict_model,
    )
    capacity = Capacity(
        scheduler.load, workers=model_loader.workers, speech_cost=cost, vad_enabled=settings.speech_gate
    )
    return RecognitionStack(service, capacity, model_loader)
