"""Makes a model's static folder: as a hidden folder inside the model, which is renamed when its texts are compared."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from transcriber.catalog import ModelFolder, fst, static_graph
from transcriber.catalog.compile.equivalence import EquivalenceReport, prove
from transcriber.catalog.compile.estimate import MEMORY_FACTOR, Machine, Needs
from transcriber.catalog.compile.openfst import OpenFst
from transcriber.catalog.vosk_layout import DISAMBIGUATION, LANGUAGE_MODEL, LEXICON, STATIC_GRAPH, WORDS, graph_folder
from transcriber.errors import CompileError

HIDDEN = ".static-"
ReportProgress = Callable[[str, float], None]
"""Called with the step and the share of it that is done, 0 to 1."""


class GraphCompiler:
    """Makes one model's static graph; a context manager. Order: `prepare`, `compose`, `prove`, `install`.

    Nothing is seen of it before `install`; whatever ends it leaves nothing behind. Blocks for seconds to minutes.
    """

    def __init__(self, folder: ModelFolder, tools: OpenFst) -> None:
        folder.check()
        if not static_graph.is_dynamic(folder.path):
            raise CompileError(f"the graph of {folder.path} is static already: nothing to compile")
        self._model = folder.path
        self._source = graph_folder(folder.path)
        self._tools = tools
        self._needs: Needs | None = None

    def __enter__(self) -> "GraphCompiler":
        """Lock the model and make the folders to work in. Raises CompileError."""
        self._lock = os.open(self._model, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in self._model.glob(f"{HIDDEN}*"):  # by one that was killed
                shutil.rmtree(left)
            self._work, self._static = (Path(tempfile.mkdtemp(prefix=HIDDEN, dir=self._model)) for _ in range(2))
            self._static.chmod(0o755)
            self._graph = self._link()
        except BlockingIOError:
            os.close(self._lock)
            raise CompileError(f"{self._model} is being compiled by another process") from None
        except OSError as error:
            os.close(self._lock)
            raise CompileError(
                f"cannot write in {self._model} ({error.strerror}): copy the model into DATA_DIR/models first"
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for left in (self._static, self._work):
            shutil.rmtree(left, ignore_errors=True)
        os.close(self._lock)

    def prepare(self) -> Needs:
        """Unpack the language model (seconds); returns what the rest will take. Raises CompileError."""
        free = Machine.now(self._model).memory_bytes
        bare, plain, words = (self._work / name for name in ("bare.fst", "plain.fst", WORDS))
        tables = ["--clear_isymbols", "--clear_osymbols"]
        source = self._source / LANGUAGE_MODEL
        if fst.read(source).has_symbols:  # Vosk prefers this table to words.txt, and composed files lose it
            tables.append(f"--save_osymbols={words}")
        self._tools.run("fstsymbols", *tables, source, bare, memory_bytes=free)
        self._tools.run("fstconvert", "--fst_type=const", bare, plain, memory_bytes=free)
        bare.unlink()
        if words.exists():
            (self._graph / WORDS).unlink(missing_ok=True)
            words.rename(self._graph / WORDS)
        with (self._graph / WORDS).open("rb") as file:
            count = sum(1 for _ in file)
        lexicon = (self._source / LEXICON).stat().st_size
        self._needs = Needs.of(lexicon_bytes=lexicon, language_model_bytes=plain.stat().st_size, words=count)
        return self._needs

    def compose(self, report: ReportProgress) -> int:
        """Compose, make the disambiguation symbols silent, store compactly; bytes of the graph. Raises CompileError."""
        assert self._needs is not None, "prepare comes first"  # noqa: S101
        free = Machine.now(self._model).memory_bytes
        expected = MEMORY_FACTOR * self._needs.graph_bytes
        plain, raw, silent, pairs = (self._work / name for name in ("plain.fst", "raw.fst", "silent.fst", "pairs"))
        pairs.write_text("".join(f"{n} 0\n" for n in (self._source / DISAMBIGUATION).read_text().split()))

        def run(step: str, *command: str | Path, peak: float) -> None:
            def watch(used: int) -> None:
                report(step, min(0.99, used / max(1.0, peak)))

            watch(0)
            self._tools.run(str(command[0]), *command[1:], memory_bytes=free, watch=watch)
            report(step, 1.0)

        run("composing", "fstcompose", self._source / LEXICON, plain, raw, peak=expected)
        plain.unlink()
        run("relabelling", "fstrelabel", f"--relabel_ipairs={pairs}", raw, silent, peak=0.6 * expected)
        raw.unlink()
        result = self._graph / STATIC_GRAPH
        run("packing", "fstconvert", "--fst_type=const", silent, result, peak=expected)
        silent.unlink()
        return result.stat().st_size

    def prove(self, recordings: Sequence[Path], report: ReportProgress) -> EquivalenceReport:
        """Compare its texts with the dynamic graph's on these recordings. Raises CompileError, AudioFileError."""
        return prove(self._model, self._static, recordings, lambda share: report("proving", share))

    def install(self) -> Path:
        """Put it in its place, where it is used from the next start on. Raises OSError."""
        static_graph.write_receipt(self._static, self._model)
        with (self._graph / STATIC_GRAPH).open("rb") as file:
            os.fsync(file.fileno())
        place = self._model / static_graph.STATIC
        if place.exists():
            place.rename(self._work / static_graph.STATIC)
        self._static.rename(place)
        return place

    def _link(self) -> Path:
        """Fill the static folder with links to the model's files but its graphs; returns its graph folder.

        Links are relative and folders are real ones, so that the model can be moved, copied and packed.
        """
        for folder, folders, files in os.walk(self._model, followlinks=True):
            inner = Path(folder).relative_to(self._model)
            if inner == Path():
                folders[:] = [name for name in folders if name != static_graph.STATIC and not name.startswith(HIDDEN)]
            apart = {*static_graph.SOURCES, STATIC_GRAPH} if Path(folder) == self._source else set()
            (self._static / inner).mkdir(exist_ok=True)
            for name in set(files) - apart:
                up = Path(*[".."] * (len(inner.parts) + 1))
                (self._static / inner / name).symlink_to(up / inner / name)
        return self._static / self._source.relative_to(self._model)
