"""The voice activity detector of WebRTC: what tells voice from other sound, 20 ms at a time."""

import webrtcvad

from transcriber.audio.chunk import SAMPLE_RATE_HZ

MODE, STRICT_MODE = 2, 3
"""Of 0 (hears voice in much) to 3 (in little); chosen with OPEN_WINDOW and STAY_WINDOW of `voice_activity`."""


class WebRtcVad:
    """A track's. One thread at a time."""

    def __init__(self) -> None:
        self._strict = False
        self._vad = webrtcvad.Vad(MODE)

    def is_voice(self, pcm: bytes, strict: bool) -> bool:
        """Whether 16-bit little-endian PCM at 8 kHz sounds like a voice; where `strict`, surely so."""
        if strict != self._strict:
            self._strict = strict
            self._vad.set_mode(STRICT_MODE if strict else MODE)
        return bool(self._vad.is_speech(pcm, SAMPLE_RATE_HZ))
