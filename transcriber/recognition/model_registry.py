"""The models that are loaded, each with its pool; others that are installed are loaded when a call asks for them.

All methods belong to the event loop's thread; loading happens off it. The models together stay within a memory budget:
for a new one, those that no call uses are let go, least recently asked for first; if that is not enough, the call is
recognised with the default model, and its stream says so.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from transcriber.catalog import ModelFolder
from transcriber.errors import ModelError
from transcriber.recognition.recognizer_pool import RecognizerPool
from transcriber.telephony.outcomes import StreamFault

log = logging.getLogger(__name__)

MEMORY_PER_DISK_BYTE = 5
"""Memory of a loaded model over its size on disk: 4.3 of the Korean one, 2 of the demo."""


class ModelRegistry:
    """`installed` lists what could be loaded, and blocks; `load` makes a warm pool of a folder.

    Both may raise ModelError or OSError.
    """

    def __init__(
        self,
        default: RecognizerPool,
        *,
        installed: Callable[[], Sequence[ModelFolder]] = tuple,
        load: Callable[[ModelFolder], Awaitable[RecognizerPool]] | None = None,
        budget_bytes: int = 0,
    ) -> None:
        self.default = default
        self._installed = installed
        self._load = load
        self._budget = budget_bytes
        self._pools: dict[str, RecognizerPool] = {default.engine.model: default}
        """In the order in which they were asked for, the latest last."""
        self._bytes: dict[str, int] = {}
        self._loading = asyncio.Lock()

    @property
    def pools(self) -> Sequence[RecognizerPool]:
        """All that are loaded, the default among them."""
        return list(self._pools.values())

    def swap(self, pool: RecognizerPool) -> None:
        """Another default, for new calls only; the old one goes when its last call ends."""
        if self._pools.get(self.default.engine.model) is self.default:
            del self._pools[self.default.engine.model]
        self.default = self._pools[pool.engine.model] = pool
        self._bytes.pop(pool.engine.model, None)

    async def choose(self, *, model: str, language: str) -> tuple[RecognizerPool, StreamFault | None]:
        """The pool for what a call asks for (empty: nothing); with a fault when it is another one."""
        if not model and (not language or _speaks(self.default.engine.language, language)):
            return self.default, None
        wanted = f"model {model!r}" if model else f"a model for language {language!r}"
        async with self._loading:  # two calls that want the same model load it once
            for name, pool in reversed(self._pools.items()):
                if (name == model) if model else _speaks(pool.engine.language, language):
                    self._pools[name] = self._pools.pop(name)
                    return pool, None
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

    async def _add(self, folder: ModelFolder) -> RecognizerPool:
        assert self._load is not None  # noqa: S101 - told by the caller
        need = MEMORY_PER_DISK_BYTE * folder.size_bytes
        self._make_room(need)
        log.info("loading %s because a call asks for it", folder.name)
        pool = await self._load(folder)
        self._pools[folder.name] = pool
        self._bytes[folder.name] = need
        return pool

    def _make_room(self, need: int) -> None:
        idle = [name for name, pool in self._pools.items() if pool is not self.default and not pool.lent]
        while self._budget and sum(self._bytes.values()) + need > self._budget:
            if not idle:
                raise ModelError(f"it needs about {need >> 20} MB, more than TRANSCRIBER_MODELS_MEMORY_MB leaves")
            name = idle.pop(0)
            log.info("letting %s go to make room", name)
            del self._pools[name], self._bytes[name]

    def _instead(self, code: str, reason: str) -> StreamFault:
        return StreamFault(f"model_{code}", f"{reason}; {self.default.engine.model!r} is used")


def _speaks(language: str, wanted: str) -> bool:
    return language.split("-")[0] == wanted.replace("_", "-").split("-")[0]
