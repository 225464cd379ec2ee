"""Wav files of any common kind as telephone audio: 8 kHz mu-law, one track a channel. Reading only."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from transcriber.audio import wav_format
from transcriber.audio.chunk import SAMPLE_RATE_HZ, SILENCE, TRACKS
from transcriber.errors import AudioFileError


@dataclass(frozen=True, slots=True)
class Recording:
    """Mu-law at 8 kHz for each track (`inbound`, `outbound`), all of one length."""

    tracks: Mapping[str, bytes]

    @property
    def duration_s(self) -> float:
        """Seconds from the first sample to the last."""
        return max(map(len, self.tracks.values())) / SAMPLE_RATE_HZ


def read_recording(path: Path, outbound: Path | None = None) -> Recording:
    """A wav file: mono is inbound, of stereo the left is inbound and the right outbound; or two mono files.

    The shorter track is filled with silence. Raises AudioFileError.
    """
    channels = _read(path)
    if outbound is not None:
        second = _read(outbound)
        if len(channels) != 1 or len(second) != 1:
            raise AudioFileError(f"{path} and {outbound}: of two files each must be mono, one side of the call")
        channels += second
    longest = max(map(len, channels))
    filled = (side.ljust(longest, bytes([SILENCE])) for side in channels)
    return Recording(dict(zip(TRACKS, filled, strict=False)))


def _read(path: Path) -> list[bytes]:
    """The file's channels as 8 kHz mu-law."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be read ({error.strerror or error})") from None
    try:
        form, data = wav_format.parts(raw)
        wav_format.check(form)
    except ValueError as error:
        raise AudioFileError(f"{path}: {error}") from None
    width = form.channels * form.bits // 8
    data = data[: len(data) - len(data) % width]
    if not data:
        raise AudioFileError(f"{path}: holds no audio")
    if form.tag == wav_format.MULAW and form.rate_hz == SAMPLE_RATE_HZ:
        return [bytes(data[side :: form.channels]) for side in range(form.channels)]
    # Here, not above: the sample calls are mu-law, and a server that plays them needs no NumPy.
    from transcriber.audio.wav_samples import telephone_audio

    return telephone_audio(bytes(data), form)
