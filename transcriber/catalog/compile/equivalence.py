"""Shows that a static graph gives the texts of the dynamic one: both decode the same recordings.

The dynamic graph itself has more than one answer where the audio is unclear: what it has composed before decides the
order in which hypotheses are tried, and near the beam's edge that decides a word. So on either graph each recording is
decoded by a fresh recognizer and by one that has decoded all recordings before. Where a text of the static graph is
neither of the dynamic graph's two, the words that differ are counted: they may be as many as those in which these two
differ, or TOLERANCE of all. A graph that is wrong differs in most.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transcriber.audio.wav import read_recording
from transcriber.errors import CompileError
from transcriber.recognition.word_errors import word_errors

Reading = list[list[list[Any]]]
"""A track's utterances of [word, start_ms, end_ms, confidence]."""
Readings = list[Reading]
"""By a fresh recognizer, by a recycled one."""
TOLERANCE = 0.02
"""Share of the words."""


@dataclass(frozen=True, slots=True)
class EquivalenceReport:
    """How two graphs' texts compare, over all tracks.

    `identical`: tracks on which fresh recognizers agree; over these, how far a word's times and confidence lie apart at
    most. `differing`: tracks on which the static graph has a text that the dynamic one never had, and `wrong`: in how
    many words. `unsteady`: in how many words the dynamic graph's own two recognizers differ.
    """

    tracks: int
    words: int
    identical: int
    differing: tuple[str, ...]
    wrong: int
    unsteady: int
    furthest_ms: int
    furthest_confidence: float

    @property
    def holds(self) -> bool:
        """Whether words were recognized, and the graphs differ no more than the dynamic one from itself."""
        return self.words > 0 and self.wrong <= max(self.unsteady, TOLERANCE * self.words)


def prove(
    dynamic: Path, static: Path, recordings: Sequence[Path], report: Callable[[float], None]
) -> EquivalenceReport:
    """Decode the recordings with both model folders, one after the other. `report` is called with the share done.

    Raises CompileError when Vosk cannot use a folder, AudioFileError for a recording.
    """
    names = [f"{path.name} {track}" for path in recordings for track in read_recording(path).tracks]
    before = _transcribe(dynamic, recordings, len(names), lambda share: report(share * 0.8))
    after = _transcribe(static, recordings, len(names), lambda share: report(0.8 + share * 0.2))
    return compare(dict(zip(names, zip(before, after, strict=True), strict=True)))


def compare(tracks: Mapping[str, tuple[Readings, Readings]]) -> EquivalenceReport:
    """By name of a track: the readings of the dynamic graph and of the static one."""
    wrong = {name: _wrong(before, after) for name, (before, after) in tracks.items()}
    same = [(b[0], a[0]) for b, a in tracks.values() if _texts(b[0]) == _texts(a[0])]
    pairs = [pair for before, after in same for pair in zip(_flat(before), _flat(after), strict=True)]
    times = [abs(one[at] - other[at]) for one, other in pairs for at in (1, 2)]
    confidences = [abs(one[3] - other[3]) for one, other in pairs]
    return EquivalenceReport(
        tracks=len(tracks),
        words=sum(len(_flat(before[0])) for before, _ in tracks.values()),
        identical=len(same),
        differing=tuple(name for name, count in wrong.items() if count),
        wrong=sum(wrong.values()),
        unsteady=sum(_apart(*before) for before, _ in tracks.values()),
        furthest_ms=max(times, default=0),
        furthest_confidence=max(confidences, default=0.0),
    )


def _wrong(before: Readings, after: Readings) -> int:
    """Words in which the static graph's reading that is further off differs from the dynamic one's nearest."""
    return max(min(_apart(known, reading) for known in before) for reading in after)


def _apart(one: Reading, other: Reading) -> int:
    """Words that differ; that an utterance ends elsewhere counts as one."""
    words = [[word for text in _texts(reading) for word in (*text, "\n")] for reading in (one, other)]
    return word_errors(*words).total


def _texts(reading: Reading) -> list[list[str]]:
    return [[word[0] for word in utterance] for utterance in reading]


def _flat(reading: Reading) -> list[list[Any]]:
    return [word for utterance in reading for word in utterance]


def _transcribe(
    folder: Path, recordings: Sequence[Path], tracks: int, report: Callable[[float], None]
) -> list[Readings]:
    readings: list[Readings] = []
    child = subprocess.Popen(  # noqa: S603 - our own words and paths, no shell
        [sys.executable, "-m", "transcriber.catalog.compile.transcribe", folder, *recordings],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None  # noqa: S101 - it was asked for
    try:
        for line in child.stdout:
            readings.append(json.loads(line))
            report(len(readings) / tracks)
        child.wait()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    if child.returncode or len(readings) != tracks:
        raise CompileError(f"Vosk cannot use the model in {folder} (status {child.returncode})")
    return readings
