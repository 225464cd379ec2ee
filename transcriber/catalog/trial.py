"""Tries a model in a process of its own before it is used.

Damage that no check of its files finds ends the process that loads it, and would end a server with its calls.

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
ANSWER = re.compile(r'^trial: (\{"(?:load_s|error)": .*\})$')
OUT_OF_MEMORY = ("bad_alloc", "MemoryError", "Cannot allocate memory")
BUNDLED = (14_812_911, "0dba23994f0fa80a878120619f1ed7b53787895cb73f56dda6c7c22f8e2ba627", "0.3.45")
"""The bundled model: bytes, checksum, and the Vosk it was tried with. A test fails when they must be written anew."""


@dataclass(frozen=True, slots=True)
class TrialLimits:
    """What a trial may take: time as a slow disk needs for the model, memory that models seldom come near.

    A model is seldom above four times its size in memory, a grammar's graph beside it twice that.
    """

    min_timeout_s: int = 120
    bytes_per_s: int = 10_000_000
    min_memory_bytes: int = 1 << 30
    memory_per_byte: int = 12

    def timeout_s(self, size_bytes: int) -> int:
        """For a model of that size on the disk."""
        return self.min_timeout_s + size_bytes // self.bytes_per_s

    def memory_bytes(self, size_bytes: int) -> int:
        """For a model of that size on the disk."""
        return self.min_memory_bytes + self.memory_per_byte * size_bytes


@dataclass(frozen=True, slots=True)
class Trial:
    """`load_s`: until the model and one recognizer are there; `peak_mb`: the whole process, after decoding speech."""

    load_s: float
    peak_mb: float


class Trials:
    """What is known of models that were tried.

    Noted in the first of the `homes` that can be written, and looked for in all: a folder with models may be shared,
    read-only, and what filled it has tried them.
    """

    def __init__(
        self, *homes: Path, report: Callable[[str], None] = lambda _: None, limits: TrialLimits = TrialLimits()
    ) -> None:
        self._notes = [home / NOTES_FOLDER for home in homes]
        self._report = report
        self._limits = limits
        self._failed: dict[Path, tuple[str, str]] = {}
        """By folder: its fingerprint then, and why it is of no use; callers may ask for it again and again."""

    async def ensure_tried(self, folder: ModelFolder) -> None:
        """Try the model unless one with these very files was tried here before. Raises ModelError."""
        files_hash = await asyncio.to_thread(fingerprint, folder.path)
        known, why = self._failed.get(folder.path, ("", ""))
        if known == files_hash:
            raise ModelError(why)
        if await asyncio.to_thread(self._has_passed, folder.path, files_hash):
            return
        self._report(f"model: trying {folder.name} in a process of its own, which is done once")
        try:
            await self.try_out(folder, files_hash)
        except ModelError as error:
            self._failed[folder.path] = files_hash, str(error)
            raise

    async def try_out(self, folder: ModelFolder, files_hash: str = "") -> Trial:
        """Try it in any case, and note when it passed. Raises ModelError that says how it ended."""
        files_hash = files_hash or await asyncio.to_thread(fingerprint, folder.path)
        trial = await _try(folder, self._limits)
        await asyncio.to_thread(self._note, folder, files_hash, trial)
        return trial

    def forget_failures(self) -> None:
        """Try again what failed."""
        self._failed.clear()

    def _has_passed(self, path: Path, files_hash: str) -> bool:
        return is_bundled(path) or any(_is_file(notes / files_hash) for notes in self._notes)

    def _note(self, folder: ModelFolder, files_hash: str, trial: Trial) -> None:
        text, faults = json.dumps({"model": folder.name} | asdict(trial)) + "\n", []
        for notes in self._notes:
            try:
                notes.mkdir(parents=True, exist_ok=True)
                (notes / files_hash).write_text(text, "utf-8")
            except OSError as error:
                faults.append(f"{notes} ({error.strerror or error})")
            else:
                return
        self._report(f"model: cannot note that {folder.name} was tried, in {' or '.join(faults)}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that may not be looked into
        return False


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


async def _try(folder: ModelFolder, limits: TrialLimits) -> Trial:
    size = sum(file.stat().st_size for _, file in _files(folder.path))
    memory, seconds = limits.memory_bytes(size), limits.timeout_s(size)
    command = [sys.executable, "-m", PROGRAM, str(folder.path), str(memory), str(seconds)]
    try:
        async with running(command, environment=os.environ) as child:
            status = await child.wait_for_exit(within_s=seconds)
            lines = list(child.last_lines)
    except ServerUnreachable as error:
        raise ModelError(f"{folder.name} cannot be tried: {error}") from None
    if status is None:
        raise ModelError(f"{folder.name} is of no use: Vosk does not load it and hear 8 s of speech in {seconds} s")
    match = next(filter(None, map(ANSWER.match, reversed(lines))), None)
    answer = json.loads(match[1]) if match and not status else {}
    if "load_s" in answer:
        return Trial(**answer)
    if any(sign in line for sign in OUT_OF_MEMORY for line in lines):
        raise ModelError(f"{folder.name} is of no use: Vosk wants more than {memory >> 20:,} MB of memory for it")
    if status < 0:
        raise ModelError(f"Vosk crashes on {folder.name} ({signal.Signals(-status).name})")
    last = next((line for line in reversed(lines) if line.strip()), f"exit status {status}")
    raise ModelError(answer.get("error") or f"{folder.name} does not load: {last.strip()[:200]}")
