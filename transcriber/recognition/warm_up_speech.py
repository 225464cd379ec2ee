"""The speech that recognizers are warmed and measured on: of a sample call, 8 kHz mu-law."""

from transcriber.audio import sample_calls
from transcriber.audio.chunk import SAMPLE_RATE_HZ
from transcriber.audio.wav import read_recording

WARM_SPEECH_S = 4


def warm_speech() -> bytes:
    """What recognizers are warmed on."""
    return _speech("outbound", from_s=1)


def unheard_speech() -> bytes:
    """What the cost of speech is measured on: another voice, other words."""
    return _speech("inbound", from_s=4)


def _speech(side: str, *, from_s: int) -> bytes:
    track = read_recording(sample_calls.path(sample_calls.DEFAULT)).tracks[side]
    return track[from_s * SAMPLE_RATE_HZ : (from_s + WARM_SPEECH_S) * SAMPLE_RATE_HZ]
