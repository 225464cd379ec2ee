"""The proof that a static graph says what the dynamic one says: both hear the same recordings.

The dynamic graph itself has more than one answer where the audio is unclear: what it has composed before decides the
order in which hypotheses are tried, and near the beam's edge that decides a word. So each recording is heard by a fresh
recognizer and by one that has heard all recordings before; the static graph must say what one of these two said.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transcriber.caller import read_recording
from transcriber.errors import CompileError

Reading = list[list[list[Any]]]
"""A track's utterances of [word, start_ms, end_ms, confidence]."""
Readings = list[Reading]
"""By a fresh recognizer, by a recycled one."""


@dataclass(frozen=True, slots=True)
class Proof:
    """How two graphs' texts compare.

    `identical`: tracks on which fresh recognizers agree. `differing`: tracks on which the static graph says what the
    dynamic one never said. Over the identical ones, how far a word's times and confidence lie apart at most.
    """

    tracks: int
    words: int
    identical: int
    differing: tuple[str, ...]
    furthest_ms: int
    furthest_confidence: float

    @property
    def holds(self) -> bool:
        """Whether nothing was said that the dynamic graph would not say, and something was."""
        return not self.differing and self.words > 0


def prove(dynamic: Path, static: Path, recordings: Sequence[Path], tell: Callable[[float], None]) -> Proof:
    """Let both model folders hear the recordings, one after the other. `tell` gets the share done.

    Raises CompileError when Vosk cannot use a folder, AudioFileError for a recording.
    """
    names = [f"{path.name} {track}" for path in recordings for track in read_recording(path).tracks]
    before = _listen(dynamic, recordings, len(names), lambda share: tell(share * 0.8))
    after = _listen(static, recordings, len(names), lambda share: tell(0.8 + share * 0.2))
    return compare(dict(zip(names, zip(before, after, strict=True), strict=True)))


def compare(tracks: Mapping[str, tuple[Readings, Readings]]) -> Proof:
    """By name of a track: what the dynamic graph heard and what the static one."""
    differing = [name for name, (before, after) in tracks.items() if not _covered(before, after)]
    same = [(b[0], a[0]) for b, a in tracks.values() if _texts(b[0]) == _texts(a[0])]
    pairs = [pair for before, after in same for pair in zip(_flat(before), _flat(after), strict=True)]
    times = [abs(one[at] - other[at]) for one, other in pairs for at in (1, 2)]
    confidences = [abs(one[3] - other[3]) for one, other in pairs]
    return Proof(
        tracks=len(tracks),
        words=sum(len(_flat(before[0])) for before, _ in tracks.values()),
        identical=len(same),
        differing=tuple(differing),
        furthest_ms=max(times, default=0),
        furthest_confidence=max(confidences, default=0.0),
    )


def _covered(before: Readings, after: Readings) -> bool:
    known = [_texts(reading) for reading in before]
    return all(_texts(reading) in known for reading in after)


def _texts(reading: Reading) -> list[list[str]]:
    return [[word[0] for word in utterance] for utterance in reading]


def _flat(reading: Reading) -> list[list[Any]]:
    return [word for utterance in reading for word in utterance]


def _listen(folder: Path, recordings: Sequence[Path], tracks: int, tell: Callable[[float], None]) -> list[Readings]:
    heard: list[Readings] = []
    child = subprocess.Popen(  # noqa: S603 - our own words and paths, no shell
        [sys.executable, "-m", "transcriber.compiling.listen", folder, *recordings],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None  # noqa: S101 - it was asked for
    try:
        for line in child.stdout:
            heard.append(json.loads(line))
            tell(len(heard) / tracks)
        child.wait()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    if child.returncode or len(heard) != tracks:
        raise CompileError(f"Vosk cannot use the model in {folder} (status {child.returncode})")
    return heard
