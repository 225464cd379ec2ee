"""Copies of the demo model, and the tools that compile them."""

import shutil
import wave
from pathlib import Path

import pytest

from transcriber import catalog
from transcriber.audio import sample_calls
from transcriber.audio.chunk import SAMPLE_RATE_HZ
from transcriber.audio.g711 import expand
from transcriber.audio.wav import read_recording
from transcriber.catalog.compile import GraphCompiler, OpenFst
from transcriber.errors import CompileError


@pytest.fixture(scope="session")
def tools() -> OpenFst:
    """OpenFst's tools; tests that need them are skipped where they are not installed."""
    try:
        return OpenFst.find()
    except CompileError as error:
        pytest.skip(f"{error}, or: make compile-tools")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the demo model, without a static graph."""
    target = tmp_path / "models" / "vosk-model-small-en-0.1"
    shutil.copytree(catalog.find("en-demo", tmp_path / "none").path, target, ignore=shutil.ignore_patterns("static"))
    return target


@pytest.fixture(scope="session")
def compiled(tools: OpenFst, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demo model with its static graph: to be looked at, not changed."""
    target = tmp_path_factory.mktemp("models") / "vosk-model-small-en-0.2"
    shutil.copytree(catalog.find("en-demo", target / "none").path, target, ignore=shutil.ignore_patterns("static"))
    with GraphCompiler(catalog.describe(target), tools) as compiler:
        compiler.prepare()
        compiler.compose(lambda step, share: None)
        compiler.install()
    return target


@pytest.fixture(scope="session")
def brief(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wav file of seven seconds of one speaker."""
    path = tmp_path_factory.mktemp("recordings") / "brief.wav"
    speech = read_recording(sample_calls.path("08_short_wrong_department")).tracks["outbound"]
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        file.writeframes(expand(speech[: 7 * SAMPLE_RATE_HZ]).tobytes())
    return path
