"""Puts together what hears a server's calls: workers, models, and how many tracks there is room for."""

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
class Recognition:
    """A server's."""

    ears: RecognitionService
    capacity: Capacity
    engines: ModelLoader

    @property
    def engine(self) -> Engine:
        """That of new calls which ask for no other."""
        return self.ears.models.default.engine

    def about(self) -> Mapping[str, Any]:
        """The same in JSON's terms."""
        return {"model": self.engine.model, "language": self.engine.language, "demo": self.engine.model == DEMO}

    async def change_model(self) -> None:
        """Look which model the settings name now, and let new calls have it."""
        await self.engines.change(self.ears.models, self.capacity)


async def open_recognition(
    settings: Settings,
    engines: ModelLoader,
    loading: "asyncio.Task[tuple[RecognizerPool, float]]",
    stack: AsyncExitStack,
) -> Recognition:
    """Once the default is loaded; the workers go with the stack. Raises ModelError."""
    pool, cost = await loading
    lanes = DecodeScheduler(workers=engines.workers)
    stack.push_async_callback(asyncio.to_thread, lanes.close)
    ears = RecognitionService(
        lanes=lanes,
        models=engines.models(pool),
        gated=settings.speech_gate,
        endpoint_ms=settings.endpoint_ms,
        strict=settings.strict_model,
    )
    capacity = Capacity(lanes.load, workers=engines.workers, speech_cost=cost, gated=settings.speech_gate)
    return Recognition(ears, capacity, engines)
