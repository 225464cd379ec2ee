"""Recorded speech for measuring, where it lies beside the project; tests that need it are skipped where it does not."""

import os
from pathlib import Path

import pytest

from transcriber.audio.wav import read_recording

RECORDINGS = Path(os.environ.get("SPEECH", Path(__file__).parents[2] / "shared" / "speech"))
TELEPHONE = ("spelled_and_numbers", "digits", "short_sentences", "calls")

needs_speech = pytest.mark.skipif(not (RECORDINGS / "manifest.tsv").is_file(), reason="the recorded speech is not here")


def mulaw_tracks(path: Path) -> list[bytes]:
    """Every channel of a recording, as 8 kHz mu-law."""
    return list(read_recording(path).tracks.values())


def telephone_files() -> list[Path]:
    """All recordings at 8 kHz."""
    return sorted(path for folder in TELEPHONE for path in (RECORDINGS / folder).glob("*.wav"))


def manifest() -> dict[str, str]:
    """Transcripts by path below FOLDER."""
    rows = (line.split("\t") for line in (RECORDINGS / "manifest.tsv").read_text().splitlines()[1:])
    return {row[0]: row[3] for row in rows if row[3] != "-"}
