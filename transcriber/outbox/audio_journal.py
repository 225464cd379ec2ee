"""A live stream's audio on disk, mu-law as it came, so that no crash of the server costs words that were received.

It is removed when the stream has ended, or set aside when its audio could not be recognised to its end. The next start
transcribes what follows the last final that was written.
"""

import asyncio
import logging
import os
import struct
from collections.abc import Mapping
from pathlib import Path

from transcriber.audio.chunk import AudioChunk
from transcriber.outbox.stream_writes import StreamOpened, line, read

log = logging.getLogger(__name__)
FLUSH_S = 0.25
MAX_PENDING_BYTES = 1 << 20
"""Bytes that may wait for a slow disk; beyond it the stream has no journal any more."""
_CHUNK_HEADER = struct.Struct("<BQI")
"""Before each chunk: the number of its track, its first sample, its length in bytes; little-endian, 13 bytes."""


class AudioJournal:
    """One stream's. All methods belong to the event loop's thread; `record` never waits.

    `path`: where it lies; `aside_path`: where it goes if it is set aside.
    """

    def __init__(self, path: Path, header: StreamOpened, *, aside_path: Path) -> None:
        self._path = path
        self._aside_path: Path | None = None
        self._possible_aside_path = aside_path
        self._tracks = header.stream.tracks
        self._pending = bytearray(line(header))
        self._file: int | None = None
        self._failed = False
        self._writing: asyncio.Task[None] | None = None

    def record(self, chunk: AudioChunk) -> None:
        """The next audio of a track."""
        if self._failed:
            return
        number = self._tracks.index(chunk.track)
        self._pending += _CHUNK_HEADER.pack(number, chunk.start_sample, len(chunk.payload)) + chunk.payload
        if len(self._pending) > MAX_PENDING_BYTES:
            self._fail("the disk is too slow")
        elif self._writing is None:
            self._writing = asyncio.create_task(self._write())

    def set_aside(self) -> None:
        """Somebody has to look at this audio: it is kept when the stream ends, until its call goes."""
        self._aside_path = self._possible_aside_path

    async def close(self) -> None:
        """The stream has ended: it is removed, unless it is to be set aside."""
        if self._aside_path is None:
            self._failed = True
        if self._writing is not None:
            await self._writing
        if self._pending and not self._failed:
            await self._write()
        self._failed = True
        if self._file is None:
            return
        os.close(self._file)
        self._file = None
        if self._aside_path is None:
            await asyncio.to_thread(self._path.unlink, missing_ok=True)
            return
        try:
            await asyncio.to_thread(self._path.rename, self._aside_path)
        except OSError as error:
            log.error("audio that could not be recognised cannot be set aside: %s", error)
        else:
            log.error("audio that could not be recognised is kept in %s", self._aside_path)

    async def _write(self) -> None:
        await asyncio.sleep(FLUSH_S)
        text, self._pending = bytes(self._pending), bytearray()
        try:
            if self._file is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._file = await asyncio.to_thread(os.open, self._path, flags, 0o600)
            while text:
                text = text[await asyncio.to_thread(os.write, self._file, text) :]
        except OSError as error:
            self._fail(str(error))
        self._writing = None

    def _fail(self, why: str) -> None:
        log.error("this stream's audio is not in the journal any more: %s", why)
        self._failed = True
        self._pending.clear()


def read_header(path: Path) -> StreamOpened | None:
    """The beginning of the stream whose journal it is; None if that cannot be read. Blocks."""
    with path.open("rb") as file:
        header = read(file.readline())
    return header if isinstance(header, StreamOpened) else None


def read_audio(path: Path, after: Mapping[str, int]) -> Mapping[str, list[AudioChunk]]:
    """By track the audio from sample `after` on, 0 unless given; a torn end is left out. Blocks."""
    with path.open("rb") as file:
        header = read(file.readline())
        if not isinstance(header, StreamOpened):
            return {}
        tracks = header.stream.tracks
        found: dict[str, list[AudioChunk]] = {track: [] for track in tracks}
        while len(head := file.read(_CHUNK_HEADER.size)) == _CHUNK_HEADER.size:
            number, start_sample, length = _CHUNK_HEADER.unpack(head)
            payload = file.read(length)
            if len(payload) < length or number >= len(tracks):
                break
            track = tracks[number]
            begin = max(start_sample, after.get(track, 0))
            if begin < start_sample + length:
                found[track].append(AudioChunk(track, payload[begin - start_sample :], begin))
    return found
