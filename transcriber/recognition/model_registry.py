"""The models that are loaded, each in a process of its own; others are loaded when a call asks for them.

All methods belong to the event loop's thread. The models together stay within a memory budget:
for a new one, those that no call uses are let go, least recently asked for first; if that is not enough, the call is
recognised with the default model, and its stream says so.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from transcriber.catalog import ModelFolder
from transcriber.errors import ModelError
from transcriber.recognition.supervisor.loaded_model import LoadedModel
from transcriber.telephony.outcomes import StreamFault

log = logging.getLogger(__name__)

MEMORY_PER_DISK_BYTE = 5
"""Memory of a loaded model over its size on disk: 4.3 of the Korean one, 2 of the demo."""


class ModelRegistry:
    """`installed` lists what could be loaded, and blocks; `load` loads what is in a folder.

    `load_dynamic` loads a model with the graph that is composed while decoding, beside one with a static graph. All may
    raise ModelError or OSError.
    """

    def __init__(
        self,
        default: LoadedModel,
        *,
        installed: Callable[[], Sequence[ModelFolder]] = tuple,
        load: Callable[[ModelFolder], Awaitable[LoadedModel]] | None = None,
        load_dynamic: Callable[[LoadedModel], Awaitable[LoadedModel]] | None = None,
        budget_bytes: int = 0,
    ) -> None:
        self.default = default
        self._installed = installed
        self._load = load
        self._load_dynamic = load_dynamic
        self._budget = budget_bytes
        self._models: dict[str, LoadedModel] = {default.info.name: default}
        """In the order in which they were asked for, the latest last."""
        self._bytes: dict[str, int] = {}
        self._for_grammars: dict[LoadedModel, LoadedModel] = {}
        """Those with a dynamic graph, by the one with the static graph."""
        self._retired: set[LoadedModel] = set()
        """Not for new calls any more; each goes when its last call ends."""
        self._loading = asyncio.Lock()

    @property
    def loaded(self) -> Sequence[LoadedModel]:
        """All that are loaded, the default among them."""
        return [*self._models.values(), *self._for_grammars.values(), *self._retired]

    def swap(self, model: LoadedModel) -> None:
        """Another default, for new calls only; the old one goes when its last call ends."""
        for old in {self._models.pop(name, None) for name in (self.default.info.name, model.info.name)}:
            if old is not None:
                self._retire(old)
        self.default = self._models[model.info.name] = model
        self._bytes.pop(model.info.name, None)

    async def for_grammar(self, model: LoadedModel) -> LoadedModel:
        """The same model as one that can be given a grammar. Raises ModelError, OSError."""
        if model.info.dynamic or self._load_dynamic is None:
            return model
        async with self._loading:
            if model not in self._for_grammars:
                log.info("loading the dynamic graph of %s because a call has a grammar", model.info.name)
                self._for_grammars[model] = await self._load_dynamic(model)
            return self._for_grammars[model]

    async def close_unused(self) -> None:
        """End what was let go and has no calls any more. To be called now and then."""
        for model in [model for model in self._retired if not model.open_tracks]:
            self._retired.discard(model)
            await model.close()

    async def close(self) -> None:
        """End all of them."""
        for model in self.loaded:
            await model.close()

    async def choose(self, *, model: str, language: str) -> tuple[LoadedModel, StreamFault | None]:
        """The model for what a call asks for (empty: nothing); with a fault when it is another one."""
        if not model and (not language or _speaks(self.default.info.language, language)):
            return self.default, None
        wanted = f"model {model!r}" if model else f"a model for language {language!r}"
        async with self._loading:  # two calls that want the same model load it once
            for name, loaded in reversed(self._models.items()):
                if (name == model) if model else _speaks(loaded.info.language, language):
                    self._models[name] = self._models.pop(name)
                    return loaded, None
            try:
                folders = await asyncio.to_thread(self._installed)
            except (ModelError, OSError) as error:
                return self.default, self._instead("unknown", f"{wanted} cannot be looked for: {error}")
            found = [
                folder
                for folder in folders
                if ((folder.name == model) if model else _speaks(folder.language, language))
            ]
            if not found or self._load is None:
                return self.default, self._instead("unknown", f"{wanted} is not installed")
            try:
                return await self._add(found[0]), None
            except (ModelError, OSError) as error:
                return self.default, self._instead("not_loaded", f"{wanted} could not be loaded: {error}")

    async def _add(self, folder: ModelFolder) -> LoadedModel:
        assert self._load is not None  # noqa: S101 - told by the caller
        need = MEMORY_PER_DISK_BYTE * folder.size_bytes
        self._make_room(need)
        log.info("loading %s because a call asks for it", folder.name)
        model = await self._load(folder)
        self._models[folder.name] = model
        self._bytes[folder.name] = need
        return model

    def _make_room(self, need: int) -> None:
        idle = [name for name, model in self._models.items() if model is not self.default and not self._in_use(model)]
        while self._budget and sum(self._bytes.values()) + need > self._budget:
            if not idle:
                raise ModelError(f"it needs about {need >> 20} MB, more than TRANSCRIBER_MODELS_MEMORY_MB leaves")
            name = idle.pop(0)
            log.info("letting %s go to make room", name)
            self._retire(self._models.pop(name))
            del self._bytes[name]

    def _in_use(self, model: LoadedModel) -> bool:
        dynamic = self._for_grammars.get(model)
        return bool(model.open_tracks or (dynamic and dynamic.open_tracks))

    def _retire(self, model: LoadedModel) -> None:
        self._retired.add(model)
        if (dynamic := self._for_grammars.pop(model, None)) is not None:
            self._retired.add(dynamic)

    def _instead(self, code: str, reason: str) -> StreamFault:
        return StreamFault(f"model_{code}", f"{reason}; {self.default.info.name!r} is used")


def _speaks(language: str, wanted: str) -> bool:
    return language.split("-")[0] == wanted.replace("_", "-").split("-")[0]
