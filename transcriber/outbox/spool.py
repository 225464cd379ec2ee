"""One stream's writes on their way to Redis, oldest first: in memory, and from the first trouble on in a file as well.

The file is append-only and synced; its first line says whose writes these are. It goes when all of it was delivered.
Delivered lines are not crossed out: after a crash they are written again, and Redis recognises them.
"""

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from transcriber.outbox import append_log
from transcriber.outbox.stream_writes import EventAppended, StreamClosed, StreamOpened, Write, line, read

log = logging.getLogger(__name__)
MAX_WRITES_IN_MEMORY = 1_000
"""Writes of a stream that wait in memory before they go to disk even without trouble."""
MAX_WRITES_WITHOUT_DISK = 10_000
"""The same when the disk takes nothing; beyond it new ones are dropped."""
MAX_FILE_BYTES = 64 << 20
"""Of one stream's file: days of speech. Beyond it new writes are dropped."""
READ_BATCH_LINES = 200
Append = Callable[[int, bytes, int], None]
REMEMBERED_WRITES = 32
"""Delivered writes that are kept for a Redis that turns out to have lost them."""


class StreamSpool:
    """All methods belong to the event loop's thread; the file is read and written in other threads, one step at a time.

    `header`: what the file's first line will say; its publisher keeps it true. `max_bytes`: of the file. `append`: see
    `append_log`.
    """

    def __init__(
        self, path: Path, header: StreamOpened, *, max_bytes: int = MAX_FILE_BYTES, append: Append = append_log.append
    ) -> None:
        self._max_bytes = max_bytes
        self._append = append
        self.header = header
        self.safe = asyncio.Event()
        """Set while nothing waits that is not in the file."""
        self._path = path
        self._in_memory: deque[Write] = deque()
        """The oldest: in memory, and perhaps in the file as well."""
        self._only_in_file = 0
        """How many behind them are in the file only."""
        self._unsaved: deque[Write] = deque()
        """Behind those: on their way into the file."""
        self._delivered: deque[Write] = deque(maxlen=REMEMBERED_WRITES)
        self._last_number, self._last_saved = header.after, 0
        """The last write number taken, and the last one in the file."""
        self._file: int | None = None
        self._size = self._read_offset = 0
        self._file_lock = asyncio.Lock()
        self._flushing: asyncio.Task[None] | None = None
        self.disk_fails = False
        """Whether the file could not be written the last time."""

    @classmethod
    def load(cls, path: Path) -> "tuple[StreamSpool, Write | None] | None":
        """What a dead server left, and the last write of it. Blocks. Raises OSError.

        None if not even the first line is whole.
        """
        last: Write | None = None
        with path.open("rb") as file:
            header = read(file.readline())
            if not isinstance(header, StreamOpened):
                return None
            count, start = 0, file.tell()
            size = start
            for text in file:
                record = read(text) if text.endswith(b"\n") else None
                if record is None or isinstance(record, StreamOpened):
                    break  # torn: nothing behind it was ever called safe
                last, count, size = record, count + 1, size + len(text)
        spool = cls(path, header)
        spool._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        spool._read_offset, spool._size, spool._only_in_file = start, size, count
        spool._last_number = spool._last_saved = last.number if last is not None else header.after
        spool.safe.set()
        return spool, last

    @property
    def waiting(self) -> int:
        """Writes that are not delivered."""
        return len(self._in_memory) + self._only_in_file + len(self._unsaved)

    @property
    def unsafe(self) -> int:
        """Those of them that a crash would take."""
        oldest = (
            self._in_memory[0].number
            if self._in_memory
            else self._last_number + 1 - self._only_in_file - len(self._unsaved)
        )
        return max(0, self._last_number + 1 - max(oldest, self._last_saved + 1)) if self.waiting else 0

    @property
    def last_number(self) -> int:
        """The number of the last write that was put here, or of that before the first."""
        return self._last_number

    @property
    def age_s(self) -> float:
        """How long the oldest has been waiting."""
        oldest = next(iter(self._in_memory or self._unsaved), None)
        return 0.0 if oldest is None else max(0.0, time.time() - oldest.noted_ms / 1000)

    def put(self, write: Write) -> bool:
        """Behind all others. False: over the bound, not taken; the end always is."""
        full = self._size > self._max_bytes or (self.disk_fails and self.unsafe >= MAX_WRITES_WITHOUT_DISK)
        if full and not isinstance(write, StreamClosed):
            return False
        self.safe.clear()
        self._last_number = write.number
        if self._file is None:
            self._in_memory.append(write)
        else:
            self._unsaved.append(write)
        if self._file is not None or len(self._in_memory) > MAX_WRITES_IN_MEMORY:
            self._flush()
        return True

    async def head(self) -> Write | None:
        """The oldest that is not delivered."""
        while not self._in_memory and (self._only_in_file or self._unsaved):
            if self._only_in_file:
                async with self._file_lock:
                    await self._read_on()
            elif self.disk_fails:
                async with self._file_lock:  # not while they are being written after all
                    if self.disk_fails and not self._only_in_file:
                        self._in_memory, self._unsaved = self._unsaved, deque()
            else:
                self._flush()
                await self._flushed()
        return self._in_memory[0] if self._in_memory else None

    def mark_delivered(self) -> None:
        """The head was delivered."""
        self._delivered.append(self._in_memory.popleft())
        if not self.unsafe:
            self.safe.set()

    def rewind(self, written: int) -> int:
        """Redis knows only so much: what is remembered of the rest is to be delivered again.

        Returns how many are not remembered any more.
        """
        while self._delivered and self._delivered[-1].number > written:
            self._in_memory.appendleft(self._delivered.pop())
        return max(0, self._current_header().after - written)

    def spill(self) -> None:
        """Redis does not take writes: save what waits, and from now on what comes, too."""
        if self._file is None or self.unsafe:
            self._flush()

    async def remove_if_delivered(self) -> None:
        """Remove the file if all was delivered."""
        await self._flushed()
        if self._file is None:
            return
        async with self._file_lock:
            if not self.waiting:
                os.close(self._file)
                self._file, self._size, self._read_offset = None, 0, 0
                await asyncio.to_thread(self._path.unlink, missing_ok=True)

    async def discard(self) -> None:
        """Nothing of it is kept, neither what waits nor what is remembered."""
        await self._flushed()
        async with self._file_lock:
            for some in (self._in_memory, self._unsaved, self._delivered):
                some.clear()
            self._only_in_file = 0
        await self.remove_if_delivered()
        self.safe.set()

    async def aclose(self) -> None:
        """Save what is possible, and close the file."""
        if self.waiting:
            self.spill()
        await self._flushed()
        async with self._file_lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _flush(self) -> None:
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._save())

    async def _flushed(self) -> None:
        if self._flushing is not None:
            await self._flushing

    async def _save(self) -> None:
        try:
            async with self._file_lock:
                if self._file is None:
                    text = line(self._current_header())
                    self._file = await asyncio.to_thread(append_log.create, self._path, text)
                    self._size = self._read_offset = len(text)
                    self._last_saved = 0
                while batch := [write for write in self._in_memory if write.number > self._last_saved]:
                    await self._add(batch)
                    self._read_offset = self._size
                while batch := list(self._unsaved):
                    await self._add(batch)
                    for _ in batch:
                        self._unsaved.popleft()
                    self._only_in_file += len(batch)
                self.disk_fails = False
                self.safe.set()
        except OSError as error:
            if not self.disk_fails:
                log.error("events wait in memory only, the outbox cannot be written: %s", error)
            self.disk_fails = True

    def _current_header(self) -> StreamOpened:
        return replace(self.header, after=self._in_memory[0].number - 1 if self._in_memory else self._last_number)

    async def _add(self, batch: list[Write]) -> None:
        if self._file is None:
            raise RuntimeError("there is no file to add to")
        text = b"".join(map(line, batch))
        await asyncio.to_thread(self._append, self._file, text, self._size)
        self._size += len(text)
        self._last_saved = batch[-1].number

    async def _read_on(self) -> None:
        """The next writes that are in the file only."""
        texts, self._read_offset = await asyncio.to_thread(
            append_log.read_lines, self._path, self._read_offset, min(self._only_in_file, READ_BATCH_LINES)
        )
        records = [record for text in texts if isinstance(record := read(text), EventAppended | StreamClosed)]
        if len(records) < len(texts) or not texts:
            log.error(
                "%s was changed by somebody: %d events of it are lost", self._path, self._only_in_file - len(records)
            )
            self._only_in_file = len(records)
        self._in_memory.extend(records)
        self._only_in_file -= len(records)
