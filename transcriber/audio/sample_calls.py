"""The sample calls that ship with the package, and the reference turns that may lie beside any recording."""

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from transcriber.errors import AudioFileError

DEFAULT = "08_short_wrong_department"


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says between two moments of the recording."""

    track: str
    start_ms: int
    end_ms: int
    text: str


def names() -> list[str]:
    """The bundled calls, in order."""
    return sorted(found.stem for found in _folder().glob("*.wav"))


def path(name: str) -> Path:
    """The wav file of a bundled call, stereo 8 kHz mu-law. Raises AudioFileError."""
    if name not in names():
        raise AudioFileError(f"{name}: no such file, and no bundled sample call of that name ({', '.join(names())})")
    return _folder() / f"{name}.wav"


def reference(recording: Path) -> tuple[Turn, ...] | None:
    """The turns in `<recording>.json` beside it; None when there is no such file or it is about something else."""
    try:
        turns = json.loads(recording.with_suffix(".json").read_text("utf-8"))["turns"]
        return tuple(
            Turn(str(turn["track"]), round(turn["start"] * 1000), round(turn["end"] * 1000), str(turn["text"]))
            for turn in turns
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _folder() -> Path:
    return Path(str(resources.files("transcriber"))) / "samples"
