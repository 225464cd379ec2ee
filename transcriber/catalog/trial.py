"""A model is tried in a process of its own before it is used: damage that no look at its files shows ends the process
that loads it, and a server's calls with it.

What passed is noted in `DATA_DIR/models/.tried/`: not beside the model, whose folder may be read-only or a stranger's.
"""

import asyncio
import hashlib
import json
import os
import platform
import re
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from transcriber.catalog.model_folder import ModelFolder
from transcriber.errors import ModelError, ServerUnreachable
from transcriber.runtime.child_process import running

PROGRAM = "transcriber.recognition.model_trial"
NOTES_FOLDER = ".tried"
VERSION = 1
"""Of what a trial does: a model is tried anew when it does more."""
ENDS_BYTES = 64 * 1024
MIN_TIMEOUT_S, BYTES_PER_S = 120, 10_000_000
"""How long a trial may take: so long, and as long as a slow disk takes for the model."""
MIN_MEMORY_BYTES, MEMORY_PER_BYTE = 1 << 30, 12
"""What it may take: a model is seldom above four times its size in memory, a grammar's graph beside it twice that."""
ANSWER = re.compile(r'^trial: (\{"(?:load_s|error)": .*\})$')
OUT_OF_MEMORY = ("bad_alloc", "MemoryError", "Cannot allocate memory")
BUNDLED = (14_812_911, "0dba23994f0fa80a878120619f1ed7b53787895cb73f56dda6c7c22f8e2ba627", "0.3.45")
"""The bundled model: bytes, checksum, and the Vosk it was tried with. A test tells when they are to be written anew."""


@dataclass(frozen=True, slots=True)
class Trial:
    """`load_s`: until the model and one recognizer are there; `peak_mb`: the whole process, having heard speech."""

    load_s: float
    peak_mb: float


class Trials:
    """What is known of models that were tried. `home`: where the data directory keeps models."""

    def __init__(self, home: Path, *, report: Callable[[str], None] = lambda _: None) -> None:
        self._notes = home / NOTES_FOLDER
        self._report = report
        self._failed: dict[Path, tuple[str, str]] = {}
        """By folder: what it looked like then, and why it is of no use; a caller may ask for such a one again and
        again."""

    async def ensure_tried(self, folder: ModelFolder) -> None:
        """Try the model unless one with these very files was tried here before. Raises ModelError."""
        mark = await asyncio.to_thread(fingerprint, folder.path)
        known, why = self._failed.get(folder.path, ("", ""))
        if known == mark:
            raise ModelError(why)
        if await asyncio.to_thread(self._is_known, folder.path, mark):
            return
        self._report(f"model: trying {folder.name} in a process of its own, which is done once")
        try:
            await self.try_out(folder, mark)
        except ModelError as error:
            self._failed[folder.path] = mark, str(error)
            raise

    async def try_out(self, folder: ModelFolder, mark: str = "") -> Trial:
        """Try it in any case, and note when it passed. Raises ModelError with how it ended."""
        mark = mark or await asyncio.to_thread(fingerprint, folder.path)
        trial = await _try(folder)
        await asyncio.to_thread(self._note, folder, mark, trial)
        return trial

    def forget_failures(self) -> None:
        """Try again what failed."""
        self._failed.clear()

    def _is_known(self, path: Path, mark: str) -> bool:
        return (self._notes / mark).is_file() or is_bundled(path)

    def _note(self, folder: ModelFolder, mark: str, trial: Trial) -> None:
        try:
            self._notes.mkdir(parents=True, exist_ok=True)
            (self._notes / mark).write_text(json.dumps({"model": folder.name} | asdict(trial)) + "\n", "utf-8")
        except OSError as error:
            self._report(f"model: cannot note in {self._notes} that {folder.name} was tried: {error.strerror or error}")


def fingerprint(path: Path) -> str:
    """Tells one state of a model's files from another without reading them whole. Raises ModelError."""
    digest = hashlib.sha256(f"{VERSION} {metadata.version('vosk')} {platform.machine()}".encode())
    try:
        for part, file in _files(path):
            status = file.stat()
            digest.update(f"\n{part} {status.st_size} {status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
            with file.open("rb") as opened:
                digest.update(opened.read(ENDS_BYTES))
                opened.seek(max(0, status.st_size - ENDS_BYTES))
                digest.update(opened.read(ENDS_BYTES))
    except OSError as error:
        raise ModelError(f"the model in {path} cannot be read: {error.strerror or error}") from None
    return digest.hexdigest()


def is_bundled(path: Path) -> bool:
    """Whether these are the very files of the bundled model, and the Vosk it was tried with. Reads 15 MB: 0.02 s."""
    size, checksum, vosk = BUNDLED
    try:
        if metadata.version("vosk") != vosk or sum(file.stat().st_size for _, file in _files(path)) != size:
            return False
        return content_checksum(path) == checksum
    except OSError:
        return False


def content_checksum(path: Path) -> str:
    """The checksum of a model's files and their names. Raises OSError."""
    digest = hashlib.sha256()
    for part, file in _files(path):
        with file.open("rb") as opened:
            digest.update(f"{part} {hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """All but hidden ones, in order, each with its path below the model's folder."""
    found = ((file.relative_to(path), file) for file in sorted(path.rglob("*")) if file.is_file())
    return ((str(part), file) for part, file in found if not any(name.startswith(".") for name in part.parts))


async def _try(folder: ModelFolder) -> Trial:
    size = sum(file.stat().st_size for _, file in _files(folder.path))
    memory, seconds = MIN_MEMORY_BYTES + MEMORY_PER_BYTE * size, MIN_TIMEOUT_S + size // BYTES_PER_S
    command = [sys.executable, "-m", PROGRAM, str(folder.path), str(memory), str(seconds)]
    try:
        async with running(command, environment=os.environ) as child:
            status = await child.wait_for_exit(within_s=seconds)
            lines = list(child.last_lines)
    except ServerUnreachable as error:
        raise ModelError(f"{folder.name} cannot be tried: {error}") from None
    if status is None:
        raise ModelError(f"{folder.name} is of no use: Vosk does not load it and hear 8 s of speech in {seconds} s")
    said = next(filter(None, map(ANSWER.match, reversed(lines))), None)
    answer = json.loads(said[1]) if said and not status else {}
    if "load_s" in answer:
        return Trial(**answer)
    if any(sign in line for sign in OUT_OF_MEMORY for line in lines):
        raise ModelError(f"{folder.name} is of no use: Vosk wants more than {memory >> 20:,} MB of memory for it")
    if status < 0:
        raise ModelError(f"Vosk crashes on {folder.name} ({signal.Signals(-status).name})")
    last = next((line for line in reversed(lines) if line.strip()), f"exit status {status}")
    raise ModelError(answer.get("error") or f"{folder.name} does not load: {last.strip()[:200]}")
