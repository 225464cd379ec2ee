"""Dynamic graph against the static one and forms of it: CPU fresh and recycled, memory, size, load time, same texts.

Each graph is heard in a process of its own, in turn, --rounds times, over the same audio in pieces of --piece-s seconds
(0: whole tracks). The static graph is compiled into a scratch folder unless it stands beside the model or --static
names it. `--forms`: also stored as vector, minimised (with weights kept, or pushed), without silent arcs, 16-bit.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from bench import recordings
from transcriber.audio.chunk import SAMPLE_RATE_HZ
from transcriber.catalog import ModelFolder, describe, static_graph
from transcriber.catalog.compile import GraphCompiler, Machine, OpenFst
from transcriber.catalog.compile.transcribe import link, transcribe, undithered
from transcriber.catalog.vosk_layout import STATIC_GRAPH, graph_folder
from transcriber.recognition.vosk_engine import VoskEngine

MB = 1e6
CONST = ("fstconvert", "--fst_type=const")
LABELS, ALL = ("--encode_labels",), ("--encode_labels", "--encode_weights")
FORMS = ("vector", "minimised", "minimised, weights pushed", "no silent arcs", "const16")


def main() -> None:
    """Entry point."""
    parser = recordings.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--piece-s", type=int, default=0)
    parser.add_argument("--pieces", type=int, default=0, help="at most so many (0: all)")
    parser.add_argument("--static", type=Path, help="a static folder made earlier")
    parser.add_argument("--forms", nargs="*", default=[], choices=FORMS)
    parser.add_argument("--hear", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    folder = recordings.model(args.model)
    if args.hear:
        measure(args.hear, pieces(folder, args))
        return
    recordings.heading(folder)
    with tempfile.TemporaryDirectory() as scratch:
        static = args.static or (
            folder.path / static_graph.STATIC if static_graph.folder_to_load(folder.path) != folder.path else None
        )
        static = static or compiled(folder, Path(scratch))
        shown = {"dynamic": folder.path, "static": static}
        shown |= {form: formed(form, static, Path(scratch) / form) for form in args.forms}
        table(shown, args.rounds)


def table(folders: dict[str, Path], rounds: int) -> None:
    """Let all be heard in turn, and show the medians."""
    heard: dict[str, list[dict[str, Any]]] = {name: [] for name in folders}
    for _ in range(rounds):
        for name, path in folders.items():
            child = subprocess.run(
                [sys.executable, "-m", "bench.static_graph", *sys.argv[1:], "--hear", path],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            if child.returncode == 0:
                heard[name].append(json.loads(child.stdout))
    first = heard["dynamic"][0]
    print(f"{len(first['texts'])} pieces, {first['seconds']:.0f} s, {rounds} rounds; CPU s per s of audio, medians")
    print(
        f"{'graph':26} {'fresh':>7} {'recycled':>8} {'file MB':>8} {'load s':>7} {'loaded MB':>10} {'used MB':>8}  same"
    )
    for name, runs in heard.items():
        if not runs:
            print(f"{name:26} Vosk refuses it")
            continue
        fresh, recycled, load, loaded, used = (
            statistics.median(run[key] for run in runs) for key in ("fresh", "recycled", "load_s", "loaded", "used")
        )
        same = sum(one == other for one, other in zip(first["texts"], runs[0]["texts"], strict=True))
        size = graphs_size(folders[name]) / MB
        print(
            f"{name:26} {fresh:7.4f} {recycled:8.4f} {size:8.1f} {load:7.2f} {loaded / MB:10.0f} {used / MB:8.0f}  "
            f"{same} of {len(first['texts'])}"
        )


def measure(folder: Path, audio: Sequence[bytes]) -> None:
    """In a process of its own: one folder, without dither, fresh and recycled; prints JSON."""
    memory = psutil.Process().memory_info
    with tempfile.TemporaryDirectory() as scratch:
        view = describe(undithered(folder, Path(scratch)))
        rest, before = memory().rss, time.monotonic()
        engine = VoskEngine(view, dynamic=True)
        load_s, loaded = time.monotonic() - before, memory().rss - rest
    seconds, before = sum(map(len, audio)) / SAMPLE_RATE_HZ, time.thread_time()
    texts = [[said.text for said in transcribe(engine.create(), mulaw, engine.band)] for mulaw in audio]
    fresh, recycler, before = (time.thread_time() - before) / seconds, engine.create(), time.thread_time()
    for mulaw in audio:
        transcribe(recycler, mulaw, engine.band)
    recycled = (time.thread_time() - before) / seconds
    figures = {"fresh": fresh, "recycled": recycled, "load_s": load_s, "loaded": loaded, "used": memory().rss - rest}
    print(json.dumps(figures | {"seconds": seconds, "texts": texts}))


def pieces(folder: ModelFolder, args: argparse.Namespace) -> list[bytes]:
    """The audio: Korean sentences for a wide model where they are, else sample calls and telephone recordings."""
    spoken = [mulaw for mulaw, _ in recordings.korean().values()] if folder.band == "wide" else []
    tracks = spoken or list((recordings.samples() | recordings.telephone()).values())
    if args.piece_s:
        length = args.piece_s * SAMPLE_RATE_HZ
        tracks = [track[at : at + length] for track in tracks for at in range(0, max(1, len(track) - length), length)]
    return tracks[: args.pieces or None]


def compiled(folder: ModelFolder, scratch: Path) -> Path:
    """The model's static graph, in a folder of links to the model."""
    ignored = shutil.ignore_patterns(static_graph.STATIC)
    links = Path(shutil.copytree(folder.path, scratch / "model", copy_function=link, ignore=ignored))
    before = time.monotonic()
    with GraphCompiler(describe(links), OpenFst.find()) as compiler:
        needs = compiler.prepare()
        size = compiler.compose(lambda step, share: None)
        place = compiler.install()
    print(f"composed in {time.monotonic() - before:.1f} s: {size / MB:.1f} MB (estimate {needs.graph_bytes / MB:.1f})")
    return place


def formed(form: str, static: Path, target: Path) -> Path:
    """The static model with its graph in another form."""
    ignored = shutil.ignore_patterns(STATIC_GRAPH)
    shutil.copytree(static, target, copy_function=link, ignore=ignored)
    source, result = static_graph.composed_graph(static), static_graph.composed_graph(target)
    one, two, codes = (target / name for name in ("one.fst", "two.fst", "codes"))
    match form:
        case "vector":
            steps = [("fstconvert", "--fst_type=vector", source, result)]
        case "const16":
            steps = [("fstconvert", "--fst_type=const16", source, result)]
        case "no silent arcs":
            steps = [("fstrmepsilon", source, one), (*CONST, one, result)]
        case _:
            what = LABELS if form.endswith("pushed") else ALL
            steps = [
                ("fstencode", *what, source, codes, one),
                ("fstminimize", one, two),
                ("fstencode", "--decode", two, codes, one),
                (*CONST, one, result),
            ]
    tools, free = OpenFst.find(), Machine.now(target).memory_bytes
    for tool, *arguments in steps:
        tools.run(str(tool), *arguments, memory_bytes=free)
    for left in (one, two, codes):
        left.unlink(missing_ok=True)
    return target


def graphs_size(folder: Path) -> int:
    """Bytes of the graphs that Vosk loads from a folder."""
    names = (STATIC_GRAPH, *static_graph.SOURCES)
    folder = graph_folder(folder)
    return sum(os.path.getsize(folder / name) for name in names if (folder / name).is_file())


if __name__ == "__main__":
    main()
