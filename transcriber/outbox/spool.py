"""One stream's writes on their way to Redis, oldest first: in memory, and from the first trouble on in a file as well.

The file is append-only and synced; its first line says whose writes these are. It goes when all of it was delivered.
Delivered lines are not crossed out: after a crash they are written again, and Redis recognises them.
"""

import asyncio
import logging
import os
import time
from collections import deque
from dataclasses import replace
from pathlib import Path

from transcriber.outbox import append_log
from transcriber.outbox.stream_writes import EventAppended, StreamClosed, StreamOpened, Write, line, read

log = logging.getLogger(__name__)
MOST_IN_MEMORY = 1_000
"""Writes of a stream that wait in memory before they go to disk even without trouble."""
MOST_WITHOUT_DISK = 10_000
"""The same when the disk takes nothing; beyond it new ones are dropped."""
MOST_BYTES = 64 << 20
"""Of one stream's file: days of speech. Beyond it new writes are dropped."""
READ_AT_ONCE = 200
REMEMBERED = 32
"""Delivered writes that are kept for a Redis that turns out to have lost them."""


class StreamSpool:
    """All methods belong to the event loop's thread; the file is worked on elsewhere, one step at a time.

    `opening`: what the file's first line will say; whoever delivers keeps it true.
    """

    def __init__(self, path: Path, opening: StreamOpened) -> None:
        self.opening = opening
        self.safe = asyncio.Event()
        """Set while nothing waits that is not in the file."""
        self._path = path
        self._near: deque[Write] = deque()
        """The oldest: in memory, and perhaps in the file as well."""
        self._far = 0
        """How many behind them are in the file only."""
        self._new: deque[Write] = deque()
        """Behind those: on their way into the file."""
        self._sent: deque[Write] = deque(maxlen=REMEMBERED)
        self._put, self._saved = opening.after, 0
        """The last write number taken, and the last one in the file."""
        self._file: int | None = None
        self._size = self._read_at = 0
        self._turn = asyncio.Lock()
        self._flushing: asyncio.Task[None] | None = None
        self.disk_fails = False
        """Whether the file could not be written the last time."""

    @classmethod
    def found(cls, path: Path) -> "tuple[StreamSpool, Write | None] | None":
        """What a dead server left, and the last write of it. Blocks. Raises OSError.

        None if not even the first line is whole.
        """
        last: Write | None = None
        with path.open("rb") as file:
            opening = read(file.readline())
            if not isinstance(opening, StreamOpened):
                return None
            count, start = 0, file.tell()
            size = start
            for text in file:
                record = read(text) if text.endswith(b"\n") else None
                if record is None or isinstance(record, StreamOpened):
                    break  # torn: nothing behind it was ever called safe
                last, count, size = record, count + 1, size + len(text)
        backlog = cls(path, opening)
        backlog._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        backlog._read_at, backlog._size, backlog._far = start, size, count
        backlog._put = backlog._saved = last.number if last is not None else opening.after
        backlog.safe.set()
        return backlog, last

    @property
    def waiting(self) -> int:
        """Writes that are not delivered."""
        return len(self._near) + self._far + len(self._new)

    @property
    def unsafe(self) -> int:
        """Those of them that a crash would take."""
        oldest = self._near[0].number if self._near else self._put + 1 - self._far - len(self._new)
        return max(0, self._put + 1 - max(oldest, self._saved + 1)) if self.waiting else 0

    @property
    def last(self) -> int:
        """The number of the last write that was put here, or of that before the first."""
        return self._put

    @property
    def age_s(self) -> float:
        """How long the oldest has been waiting."""
        oldest = next(iter(self._near or self._new), None)
        return 0.0 if oldest is None else max(0.0, time.time() - oldest.noted_ms / 1000)

    def put(self, write: Write) -> bool:
        """Behind all others. False: over the bound, not taken; the end always is."""
        full = self._size > MOST_BYTES or (self.disk_fails and self.unsafe >= MOST_WITHOUT_DISK)
        if full and not isinstance(write, StreamClosed):
            return False
        self.safe.clear()
        self._put = write.number
        if self._file is None:
            self._near.append(write)
        else:
            self._new.append(write)
        if self._file is not None or len(self._near) > MOST_IN_MEMORY:
            self._flush()
        return True

    async def head(self) -> Write | None:
        """The oldest that is not delivered."""
        while not self._near and (self._far or self._new):
            if self._far:
                async with self._turn:
                    await self._read_on()
            elif self.disk_fails:
                async with self._turn:  # not while they are being written after all
                    if self.disk_fails and not self._far:
                        self._near, self._new = self._new, deque()
            else:
                self._flush()
                await self._flushed()
        return self._near[0] if self._near else None

    def delivered(self) -> None:
        """The head was."""
        self._sent.append(self._near.popleft())
        if not self.unsafe:
            self.safe.set()

    def rewind(self, written: int) -> int:
        """Redis knows only so much: what is remembered of the rest is to be delivered again.

        Returns how many are not remembered any more.
        """
        while self._sent and self._sent[-1].number > written:
            self._near.appendleft(self._sent.pop())
        return max(0, self._first().after - written)

    def spill(self) -> None:
        """Redis is in trouble: what waits shall soon be in the file, and what comes, too."""
        if self._file is None or self.unsafe:
            self._flush()

    async def forget(self) -> None:
        """Remove the file if all was delivered."""
        await self._flushed()
        if self._file is None:
            return
        async with self._turn:
            if not self.waiting:
                os.close(self._file)
                self._file, self._size, self._read_at = None, 0, 0
                await asyncio.to_thread(self._path.unlink, missing_ok=True)

    async def discard(self) -> None:
        """Nothing of it is kept, neither what waits nor what is remembered."""
        await self._flushed()
        async with self._turn:
            for some in (self._near, self._new, self._sent):
                some.clear()
            self._far = 0
        await self.forget()
        self.safe.set()

    async def aclose(self) -> None:
        """Get what is possible into the file, and let go of it."""
        if self.waiting:
            self.spill()
        await self._flushed()
        async with self._turn:
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
            async with self._turn:
                if self._file is None:
                    text = line(self._first())
                    self._file = await asyncio.to_thread(append_log.create, self._path, text)
                    self._size = self._read_at = len(text)
                    self._saved = 0
                while batch := [write for write in self._near if write.number > self._saved]:
                    await self._add(batch)
                    self._read_at = self._size
                while batch := list(self._new):
                    await self._add(batch)
                    for _ in batch:
                        self._new.popleft()
                    self._far += len(batch)
                self.disk_fails = False
                self.safe.set()
        except OSError as error:
            if not self.disk_fails:
                log.error("events wait in memory only, the outbox cannot be written: %s", error)
            self.disk_fails = True

    def _first(self) -> StreamOpened:
        return replace(self.opening, after=self._near[0].number - 1 if self._near else self._put)

    async def _add(self, batch: list[Write]) -> None:
        if self._file is None:
            raise RuntimeError("there is no file to add to")
        text = b"".join(map(line, batch))
        await asyncio.to_thread(append_log.append, self._file, text, self._size)
        self._size += len(text)
        self._saved = batch[-1].number

    async def _read_on(self) -> None:
        """The next writes that are in the file only."""
        texts, self._read_at = await asyncio.to_thread(
            append_log.lines, self._path, self._read_at, min(self._far, READ_AT_ONCE)
        )
        records = [record for text in texts if isinstance(record := read(text), EventAppended | StreamClosed)]
        if len(records) < len(texts) or not texts:
            log.error("%s was changed by somebody: %d events of it are lost", self._path, self._far - len(records))
            self._far = len(records)
        self._near.extend(records)
        self._far -= len(records)
