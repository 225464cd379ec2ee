"""Whether each part of a Vosk model is whole, found out without loading it.

Vosk itself answers a damaged folder in four ways: it refuses it without a reason, aborts the process (no silence
phones), crashes (disambiguation symbols missing), or loads it and recognises other words (a graph or a word list cut
short). All four are found here; bytes changed inside a file are only found by the manifest (`manifest.py`).
"""

import re
import struct
from collections.abc import Callable
from pathlib import Path

from transcriber.catalog import fst
from transcriber.catalog.vosk_layout import (
    DISAMBIGUATION,
    DYNAMIC_GRAPH,
    IVECTOR,
    RESCORE,
    RNNLM,
    STATIC_GRAPH,
    WORDS,
    Layout,
    feature_options,
    has_dynamic_graph,
    has_static_graph,
    layout_of,
)

MODEL_START = (b"\0B<TransitionModel>", b"<TransitionModel>")
PRIORS = b"<Priors> FV \x04"
"""The last thing in a binary model: a vector, its length as four bytes, its numbers as four bytes each."""
TAIL_BYTES = 2 * 1024 * 1024
UNREADABLE = (ValueError, OverflowError, MemoryError, RecursionError, struct.error)
"""What reading a damaged file may end in, besides the words for it."""
NO_GRAPH = "no graph/HCLG.fst (or HCLr.fst and Gr.fst)"


def faults(path: Path, *, arcs: bool = False) -> list[str]:
    """What is wrong with the model in a folder, a phrase each (`no am/final.mdl`, `graph/Gr.fst is empty`).

    With `arcs` its graphs are read whole, which takes some seconds for a large one.
    """
    layout = layout_of(path)
    parts = _parts(path, layout)
    missing = [f"no {part}" for part in parts if not (path / part).is_file()]
    if not has_static_graph(path) and not has_dynamic_graph(path):
        missing.append(NO_GRAPH)
    if missing:
        return missing
    found = [f"{part} {what}" for part, check in parts.items() if (what := _problem(path / part, check))]
    return found or _graph_faults(path, layout, arcs=arcs)


def warnings(path: Path) -> list[str]:
    """What Vosk accepts and users should know of."""
    boundaries = layout_of(path).word_boundaries
    return [] if (path / boundaries).is_file() else [f"no {boundaries}: the times of words will be rough"]


def _parts(path: Path, layout: Layout) -> dict[str, Callable[[Path], str]]:
    """Every file Vosk opens, with its check; optional parts as far as they are there."""
    parts: dict[str, Callable[[Path], str]] = {layout.acoustic_model: _acoustic, feature_options(path): _options}
    if layout.decoder_options:
        parts[layout.decoder_options] = _decoder_options
    graph = layout.graph
    if has_static_graph(path):
        parts[graph + STATIC_GRAPH] = _anything
    elif has_dynamic_graph(path):
        parts |= {graph + part: _anything for part in DYNAMIC_GRAPH} | {graph + DISAMBIGUATION: _numbers}
    if (path / layout.word_boundaries).is_file():
        parts[layout.word_boundaries] = _boundaries
    for folder, names in (("ivector", IVECTOR), ("rescore", RESCORE), ("rnnlm", RNNLM)):
        if any((path / folder / name).is_file() for name in (names if folder == "ivector" else names[:1])):
            parts |= {f"{folder}/{name}": _anything for name in names}
    return parts


def _problem(file: Path, check: Callable[[Path], str]) -> str:
    try:
        return check(file) if file.stat().st_size else "is empty"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except UnicodeDecodeError:
        return "is not UTF-8"
    except UNREADABLE as error:
        return f"cannot be understood: {type(error).__name__}"


def _graph_faults(path: Path, layout: Layout, *, arcs: bool) -> list[str]:
    """The graph, and against it its lists: labels that no list knows crash Vosk or come out as other words."""
    static = has_static_graph(path)
    graphs: list[fst.Fst] = []
    for part in (STATIC_GRAPH,) if static else DYNAMIC_GRAPH:
        try:
            graphs.append(fst.read(path / layout.graph / part, labels=arcs or not static, arcs=arcs))
        except fst.BadFst as error:
            return [f"{layout.graph}{part} {error}"]
        except OSError as error:
            return [f"{layout.graph}{part} cannot be read: {error.strerror or error}"]
    found = []
    if not static:
        listed = map(int, (path / layout.graph / DISAMBIGUATION).read_bytes().split())
        if graphs[0].max_input_label > max(listed):
            found.append(f"{layout.graph}{DISAMBIGUATION} is cut short: {graphs[0].max_input_label} is not in it")
    if not graphs[-1].has_symbols:
        words = path / layout.graph / WORDS
        if (
            what := _problem(words, lambda file: _word_fault(file, graphs[-1].max_output_label))
            if words.is_file()
            else ""
        ):
            found.append(f"{layout.graph}{WORDS} {what}")
        elif not words.is_file():
            found.append(f"no {layout.graph}{WORDS}")
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
    malformed = [line for line in lines if line and not re.fullmatch(r"--[\w.-]+(=.*)?", line)]
    return f"has a line that is no option: {malformed[0][:40]!r}" if malformed else ""


def _decoder_options(file: Path) -> str:
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
