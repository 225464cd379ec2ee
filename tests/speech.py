"""Recorded speech for measuring, where it lies beside the project; tests that need it are skipped where it does not."""

import os
import wave
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import resample_poly

from transcriber.caller import encode_mulaw

FOLDER = Path(os.environ.get("SPEECH", Path(__file__).parents[2] / "shared" / "speech"))
TELEPHONE = ("spelled_and_numbers", "digits", "short_sentences", "calls")

needs_speech = pytest.mark.skipif(not (FOLDER / "manifest.tsv").is_file(), reason="the recorded speech is not here")


def mulaw_tracks(path: Path) -> list[bytes]:
    """Every channel of a 16-bit wav file of 8 or 16 kHz, as 8 kHz mu-law."""
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, file.getnchannels())
        rate = file.getframerate()
    if rate != 8000:
        samples = np.clip(resample_poly(samples.astype(float), 8000, rate), -32768, 32767).astype(np.int16)
    return [encode_mulaw(np.ascontiguousarray(samples[:, channel])) for channel in range(samples.shape[1])]


def telephone_files() -> list[Path]:
    """All recordings at 8 kHz."""
    return sorted(path for folder in TELEPHONE for path in (FOLDER / folder).glob("*.wav"))


def manifest() -> dict[str, str]:
    """Transcripts by path below FOLDER."""
    rows = (line.split("\t") for line in (FOLDER / "manifest.tsv").read_text().splitlines()[1:])
    return {row[0]: row[3] for row in rows if row[3] != "-"}
