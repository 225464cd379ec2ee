"""What a Vosk model is made of, and whether each part is whole, told without loading it.

Vosk itself answers a damaged folder in four ways: it refuses it without a reason, aborts the process (no silence
phones), crashes (disambiguation symbols missing), or loads it and recognises other words (a graph or a word list cut
short). All four are seen here; bytes changed inside a file are only seen by the manifest (`manifest.py`).
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from transcriber.catalog import fst

MODEL_START = (b"\0B<TransitionModel>", b"<TransitionModel>")
PRIORS = b"<Priors> FV \x04"
"""The last thing in a binary model: a vector, its length as four bytes, its numbers as four bytes each."""
TAIL_BYTES = 2 * 1024 * 1024
# Of an optional folder Vosk asks for the first file, and then wants them all.
IVECTOR = ("final.ie", "final.dubm", "final.mat", "global_cmvn.stats", "online_cmvn.conf", "splice.conf")
RESCORE = ("G.carpa", "G.fst")
RNNLM = ("final.raw", "feat_embedding.final.mat", "word_feats.txt", "special_symbol_opts.conf")
DYNAMIC = ("HCLr.fst", "Gr.fst")
UNREADABLE = (ValueError, OverflowError, MemoryError, RecursionError, struct.error)
"""What reading a damaged file may end in, besides the words for it."""
NO_GRAPH = "no graph/HCLG.fst (or HCLr.fst and Gr.fst)"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a kind of folder keeps its parts. `settings`: the decoder's, absent from the old kind."""

    acoustic: str
    features: str
    settings: str
    graph: str
    boundaries: str


NEW = Layout("am/final.mdl", "conf/mfcc.conf", "conf/model.conf", "graph/", "graph/phones/word_boundary.int")
OLD = Layout("final.mdl", "mfcc.conf", "", "", "word_boundary.int")


def layout_of(path: Path) -> Layout:
    """The newer kind has folders; Vosk goes by am/final.mdl, which may be just what is missing."""
    return NEW if any((path / part).is_dir() for part in ("am", "conf", "graph")) else OLD


def faults(path: Path, *, arcs: bool = False) -> list[str]:
    """What is wrong with the model in a folder, a phrase each (`no am/final.mdl`, `graph/Gr.fst is empty`).

    With `arcs` its graphs are read whole, which takes some seconds for a large one.
    """
    layout = layout_of(path)
    parts = _parts(path, layout)
    missing = [f"no {part}" for part in parts if not (path / part).is_file()]
    if not _is_static(path, layout) and any(not (path / layout.graph / part).is_file() for part in DYNAMIC):
        missing.append(NO_GRAPH)
    if missing:
        return missing
    found = [f"{part} {what}" for part, look in parts.items() if (what := _looked(path / part, look))]
    return found or _graph_faults(path, layout, arcs=arcs)


def doubts(path: Path) -> list[str]:
    """What Vosk accepts and users should know."""
    boundaries = layout_of(path).boundaries
    return [] if (path / boundaries).is_file() else [f"no {boundaries}: the times of words will be rough"]


def _parts(path: Path, layout: Layout) -> dict[str, Callable[[Path], str]]:
    """Everything Vosk opens, with who looks into it; optional parts as far as they are there."""
    fbank = layout.features.replace("mfcc", "fbank")
    features = fbank if (path / fbank).is_file() and not (path / layout.features).is_file() else layout.features
    parts: dict[str, Callable[[Path], str]] = {layout.acoustic: _acoustic, features: _options}
    if layout.settings:
        parts[layout.settings] = _settings
    graph = layout.graph
    if _is_static(path, layout):
        parts[f"{graph}HCLG.fst"] = _anything
    elif all((path / graph / part).is_file() for part in DYNAMIC):
        parts |= {f"{graph}{part}": _anything for part in DYNAMIC} | {f"{graph}disambig_tid.int": _numbers}
    if (path / layout.boundaries).is_file():
        parts[layout.boundaries] = _boundaries
    for folder, names in (("ivector", IVECTOR), ("rescore", RESCORE), ("rnnlm", RNNLM)):
        if any((path / folder / name).is_file() for name in (names if folder == "ivector" else names[:1])):
            parts |= {f"{folder}/{name}": _anything for name in names}
    return parts


def _is_static(path: Path, layout: Layout) -> bool:
    return (path / layout.graph / "HCLG.fst").is_file()


def _looked(file: Path, look: Callable[[Path], str]) -> str:
    try:
        return look(file) if file.stat().st_size else "is empty"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except UnicodeDecodeError:
        return "is not UTF-8"
    except UNREADABLE as error:
        return f"cannot be understood: {type(error).__name__}"


def _graph_faults(path: Path, layout: Layout, *, arcs: bool) -> list[str]:
    """The graph, and against it its lists: labels that no list knows crash Vosk or come out as other words."""
    static = _is_static(path, layout)
    graphs: list[fst.Fst] = []
    for part in ("HCLG.fst",) if static else DYNAMIC:
        try:
            graphs.append(fst.read(path / layout.graph / part, labels=arcs or not static, arcs=arcs))
        except fst.BadFst as error:
            return [f"{layout.graph}{part} {error}"]
        except OSError as error:
            return [f"{layout.graph}{part} cannot be read: {error.strerror or error}"]
    found = []
    if not static:
        listed = map(int, (path / layout.graph / "disambig_tid.int").read_bytes().split())
        if graphs[0].top_input > max(listed):
            found.append(f"{layout.graph}disambig_tid.int is cut short: {graphs[0].top_input} is not in it")
    if not graphs[-1].has_symbols:
        words = path / layout.graph / "words.txt"
        if what := _looked(words, lambda file: _word_fault(file, graphs[-1].top_output)) if words.is_file() else "":
            found.append(f"{layout.graph}words.txt {what}")
        elif not words.is_file():
            found.append(f"no {layout.graph}words.txt")
    return found


def _word_fault(words: Path, top: int) -> str:
    numbers = re.findall(r"^\S+[ \t]+(\d{1,18})[ \t\r]*$", words.read_text("utf-8"), re.MULTILINE | re.ASCII)
    last = max(map(int, numbers), default=-1)
    return f"is cut short: the graph knows {top:,} words, the list ends at {last:,}" if last < max(top, 1) else ""


def _acoustic(file: Path) -> str:
    with file.open("rb") as model:
        start = model.read(len(MODEL_START[0]))
        if not start.startswith(MODEL_START):
            return "is not a Kaldi model"
        if not start.startswith(b"\0B"):
            return ""
        size = file.stat().st_size
        model.seek(max(0, size - TAIL_BYTES))
        tail = model.read()
    at = tail.rfind(PRIORS)
    numbers_at = at + len(PRIORS) + 4
    count = int.from_bytes(tail[numbers_at - 4 : numbers_at], "little")
    if at < 0 or numbers_at + 4 * count > len(tail):
        return f"is cut short at {size:,} bytes"
    return ""


def _options(file: Path) -> str:
    lines = [line.partition("#")[0].strip() for line in file.read_text(errors="replace").splitlines()]
    odd = [line for line in lines if line and not re.fullmatch(r"--[\w.-]+(=.*)?", line)]
    return f"has a line that is no option: {odd[0][:40]!r}" if odd else ""


def _settings(file: Path) -> str:
    if what := _options(file):
        return what
    named = re.search(r"^\s*--endpoint\.silence-phones=\d", file.read_text(errors="replace"), re.MULTILINE)
    return "" if named else "names no --endpoint.silence-phones"


def _numbers(file: Path) -> str:
    return "" if re.fullmatch(rb"\s*\d{1,10}(\s+\d{1,10})*\s*", file.read_bytes()) else "is not a list of numbers"


def _boundaries(file: Path) -> str:
    kinds = rb"nonword|begin|end|internal|singleton"
    return "" if re.fullmatch(rb"(\d+[ \t]+(%b)\s*)+" % kinds, file.read_bytes()) else "is cut short or damaged"


def _anything(_: Path) -> str:
    return ""
