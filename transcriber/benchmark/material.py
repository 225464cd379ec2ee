"""What the bench plays: calls with their audio, where speech is in them, and their transcripts if these are known."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from transcriber.audio import sample_calls
from transcriber.audio.chunk import SAMPLE_RATE_HZ, SAMPLES_PER_MS, SILENCE
from transcriber.audio.g711 import expand
from transcriber.audio.sample_calls import Turn
from transcriber.audio.wav import Recording, read_recording
from transcriber.errors import AudioFileError

FRAME_MS = 20
FRAME_SAMPLES = FRAME_MS * SAMPLES_PER_MS
SPEECH_BELOW_PEAK_DB = 30.0
"""A frame so much below the 95th percentile of its track still counts as speech."""
PAUSE_MS = 600
"""Shorter holes belong to a turn, longer ones are pauses."""
MIN_SPEECH_MS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A recording, and by track its transcript if that is known.

    `turns`: where each track has speech, by the reference beside the recording or `turns_by_energy`.
    """

    name: str
    recording: Recording
    turns: Sequence[Turn]
    transcripts: Mapping[str, str]
    turns_by_energy: bool

    @property
    def duration_ms(self) -> int:
        """Length of every track."""
        return round(self.recording.duration_s * 1000)

    @property
    def track_s(self) -> float:
        """Seconds of audio over all tracks."""
        return self.recording.duration_s * len(self.recording.tracks)

    def cut(self, seconds: float) -> "Call":
        """Its beginning; the transcript of that is not known."""
        if self.recording.duration_s <= seconds:
            return self
        tracks = {track: mulaw[: round(seconds * SAMPLE_RATE_HZ)] for track, mulaw in self.recording.tracks.items()}
        turns = tuple(turn for turn in self.turns if turn.end_ms <= seconds * 1000)
        return replace(self, recording=Recording(tracks), turns=turns, transcripts={})

    def rotated_to(self, share: float) -> "Call":
        """The same call begun in the pause next to that share of it; what lies before comes at the end.

        `share` 0 is the call itself. The transcript of another order is not known.
        """
        length_ms = -(-max(map(len, self.recording.tracks.values())) // SAMPLES_PER_MS)
        cut_ms = min((0, length_ms, *self._pauses()), key=lambda at_ms: abs(at_ms - share * length_ms))
        if cut_ms in (0, length_ms):
            return self
        cut, quiet = cut_ms * SAMPLES_PER_MS, bytes([SILENCE])
        whole = {
            track: mulaw.ljust(length_ms * SAMPLES_PER_MS, quiet) for track, mulaw in self.recording.tracks.items()
        }
        turns = []
        for turn in self.turns:
            start_ms = (turn.start_ms - cut_ms) % length_ms
            turns.append(replace(turn, start_ms=start_ms, end_ms=start_ms + turn.end_ms - turn.start_ms))
        return replace(
            self,
            recording=Recording({track: mulaw[cut:] + mulaw[:cut] for track, mulaw in whole.items()}),
            turns=sorted(turns, key=lambda turn: turn.start_ms),
            transcripts={},
        )

    def _pauses(self) -> Iterator[int]:
        """Moments, in ms, amid at least PAUSE_MS in which nobody speaks."""
        over_ms = 0
        for turn in sorted(self.turns, key=lambda turn: turn.start_ms):
            if turn.start_ms - over_ms >= PAUSE_MS:
                yield (turn.start_ms + over_ms) // 2
            over_ms = max(over_ms, turn.end_ms)


def from_sample_calls() -> list[Call]:
    """The bundled sample calls."""
    return [from_recording(sample_calls.path(name)) for name in sample_calls.names()]


def from_recording(path: Path) -> Call:
    """A wav file, with the turns of the `.json` beside it if there is one. Raises AudioFileError."""
    recording = read_recording(path)
    turns = sample_calls.reference(path)
    transcripts = {
        track: " ".join(turn.text for turn in turns or () if turn.track == track)
        for track in recording.tracks
        if turns is not None
    }
    found = turns or _turns_by_energy(recording)
    return Call(
        name=path.stem, recording=recording, turns=found, transcripts=transcripts, turns_by_energy=turns is None
    )


def from_manifest(manifest: Path) -> list[Call]:
    """The recordings of a TSV file: a path (relative to it) first, the transcript last; `path` heads a title row.

    Rows whose transcript is `-` are passed over. Raises AudioFileError.
    """
    try:
        with manifest.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if row]
    except (OSError, UnicodeDecodeError) as error:
        raise AudioFileError(f"{manifest}: cannot be read ({error})") from None
    rows = rows[1:] if rows and rows[0][0] == "path" else rows
    if any(len(row) < 2 for row in rows):
        raise AudioFileError(f"{manifest}: every line needs a path, a tab and a transcript")
    calls = []
    for name, *_, text in (row for row in rows if row[-1].strip() != "-"):
        recording = read_recording(manifest.parent / name)
        if len(recording.tracks) != 1:
            raise AudioFileError(f"{name}: a transcript belongs to one side, so the recordings of a list must be mono")
        calls.append(
            Call(
                name=Path(name).stem,
                recording=recording,
                turns=_turns_by_energy(recording),
                transcripts=dict.fromkeys(recording.tracks, text),
                turns_by_energy=True,
            )
        )
    if not calls:
        raise AudioFileError(f"{manifest}: lists no recordings")
    return calls


def staggered(excerpts: Sequence[Call], count: int) -> list[Call]:
    """So many calls, the recordings in turn, each begun at another place: people do not all speak at once."""
    return [excerpts[number % len(excerpts)].rotated_to(number / count) for number in range(count)]


def _turns_by_energy(recording: Recording) -> tuple[Turn, ...]:
    turns = [
        Turn(track, start_ms, end_ms, "")
        for track, mulaw in recording.tracks.items()
        for start_ms, end_ms in _loud(mulaw)
        if end_ms - start_ms >= MIN_SPEECH_MS
    ]
    return tuple(sorted(turns, key=lambda turn: turn.start_ms))


def _loud(mulaw: bytes) -> list[tuple[int, int]]:
    """(start, end) in ms of what is loud for this track, over short holes."""
    samples = expand(mulaw).astype(np.float64)
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    if not len(frames):
        return []
    level_db = 10 * np.log10((frames**2).mean(axis=1) + 1)
    found: list[tuple[int, int]] = []
    for frame in np.flatnonzero(level_db > max(30.0, np.percentile(level_db, 95) - SPEECH_BELOW_PEAK_DB)):
        start_ms = int(frame) * FRAME_MS
        if found and start_ms - found[-1][1] < PAUSE_MS:
            found[-1] = (found[-1][0], start_ms + FRAME_MS)
        else:
            found.append((start_ms, start_ms + FRAME_MS))
    return found
