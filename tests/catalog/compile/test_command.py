"""`transcriber models compile`, from the estimate to the installed folder, and everything it refuses."""

import os
import shutil
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from transcriber.catalog import describe, static_graph
from transcriber.catalog.compile import GraphCompiler, OpenFst
from transcriber.cli.main import main

Compile = Callable[..., int]


def silence(path: Path) -> Path:
    """A second in which nobody speaks."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    return path


@pytest.fixture
def compile_model(brief: Path) -> Compile:
    """The command's exit status; the proof is on a short recording."""
    return lambda model, *flags: main(["models", "compile", str(model), "--recording", str(brief), *flags])


def hidden(model: Path) -> list[str]:
    return [path.name for path in model.iterdir() if path.name.startswith(".")]


@pytest.mark.usefixtures("tools")
def test_a_model_is_compiled_proved_and_installed(
    compile_model: Compile, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = describe(model).size_bytes
    assert compile_model(model) == 0
    out, err = capsys.readouterr()
    estimate, report, installed = out.splitlines()
    assert estimate.startswith("estimate: ")
    assert report.startswith("proof: 1 of 1 tracks read the same (")
    assert installed.startswith(f"installed: {model / 'static'} (8 MB)")
    assert [line.split()[0] for line in err.splitlines()] == [
        "reading",
        "composing",
        "relabelling",
        "packing",
        "proving",
    ]
    assert static_graph.folder_to_load(model) == model / "static"
    describe(model / "static").check()
    assert describe(model).size_bytes == size
    assert hidden(model) == []


@pytest.mark.compile
@pytest.mark.usefixtures("tools")
def test_compiling_again_replaces_the_graph(compile_model: Compile, compiled: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(compiled, tmp_path / "again", symlinks=True))
    (model / ".static-left-by-a-killed-one").mkdir()
    (model / "static" / "mark").touch()
    assert compile_model(model) == 0
    assert not (model / "static" / "mark").exists()
    assert static_graph.folder_to_load(model) == model / "static"
    assert hidden(model) == []


@pytest.mark.compile
@pytest.mark.usefixtures("tools")
def test_without_a_proof_nothing_is_installed(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["models", "compile", str(model), "--recording", str(silence(tmp_path / "silence.wav"))]
    assert main(argv) == 1
    out, err = capsys.readouterr()
    assert "proof: no word was heard" in out
    assert err.splitlines()[-1].startswith("transcriber: not installed")
    assert static_graph.folder_to_load(model) == model
    assert hidden(model) == []
    assert main([*argv, "--force"]) == 0
    assert static_graph.folder_to_load(model) == model / "static"


@pytest.mark.usefixtures("tools")
def test_a_machine_that_is_too_small_is_told_before_the_work(
    compile_model: Compile, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.truncate(model / "graph" / "HCLr.fst", 1 << 42)  # a hole: no disk is used
    assert compile_model(model) == 1
    _, err = capsys.readouterr()
    assert "composing" not in err
    assert "too little memory (" in err
    assert "--yes" in err
    assert hidden(model) == []


def test_missing_tools_are_named_with_the_package(
    compile_model: Compile,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compile_model(model) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "fstsymbols is not installed" in line
    assert "apt install libfst-tools" in line


@pytest.mark.usefixtures("tools")
def test_a_static_model_has_nothing_to_compile(
    compile_model: Compile, compiled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compile_model(compiled / "static") == 1
    assert "static already" in capsys.readouterr().err


def test_two_cannot_compile_one_model(
    compile_model: Compile, tools: OpenFst, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with GraphCompiler(describe(model), tools):
        assert compile_model(model) == 1
    assert "by another process" in capsys.readouterr().err
    assert hidden(model) == []


@pytest.mark.usefixtures("tools")
def test_a_broken_graph_is_one_clear_line(
    compile_model: Compile, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (model / "graph" / "Gr.fst").write_bytes(b"not a graph at all")
    assert compile_model(model) == 1
    assert "Gr.fst" in capsys.readouterr().err.splitlines()[-1]
    assert hidden(model) == []
