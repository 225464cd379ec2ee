"""Audio that was set aside in the data directory: it is removed with its call, or when it is too old.

The server that deletes a call does so at once, every server of a data directory every few seconds.
"""

import asyncio
import logging
import time
from contextlib import suppress
from pathlib import Path

from transcriber.errors import StoreError
from transcriber.outbox.audio_journal import read_header
from transcriber.outbox.server_directory import JOURNAL_SUFFIX, TRIED_SUFFIX, ServerDirectory
from transcriber.store.call_deletion import CallDeletion

log = logging.getLogger(__name__)
CHECK_INTERVAL_S = 5.0


class SetAsideAudio:
    """`root`: where servers' directories and what they set aside lie."""

    def __init__(self, root: Path, deletions: CallDeletion) -> None:
        self._root = root
        self._deletions = deletions

    async def run(self) -> None:
        """`remove_due` every CHECK_INTERVAL_S, for ever."""
        while True:
            try:
                await self.remove_due()
            except StoreError as error:
                log.debug("whether calls were deleted is not known: %s", error)
            await asyncio.sleep(CHECK_INTERVAL_S)

    async def remove_due(self) -> None:
        """Remove what is not to be kept any more. Raises StoreError."""
        for path in await asyncio.to_thread(self._files):
            with suppress(FileNotFoundError):  # another server of this directory does the same
                if await self._is_due(path):
                    await asyncio.to_thread(path.unlink)

    def _files(self) -> list[Path]:
        try:
            return sorted(self._root.glob(f"*{JOURNAL_SUFFIX}{TRIED_SUFFIX}"))
        except OSError as error:
            log.error("what was set aside cannot be looked through: %s", error)
            return []

    async def _is_due(self, path: Path) -> bool:
        if await asyncio.to_thread(ServerDirectory.is_too_old, path):
            log.warning("%s is too old to be kept and goes", path)
            return True
        if (header := await asyncio.to_thread(read_header, path)) is None:
            return False
        stream, began_ms = header.stream, header.at_ms
        age_ms = time.time_ns() // 1_000_000 - began_ms
        due = await self._deletions.is_deleted(stream.call_sid, stream.stream_sid, began_ms=began_ms, age_ms=age_ms)
        if due:
            log.info("%s goes with its call", path)
        return due
