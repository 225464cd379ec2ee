"""The voice activity detector of WebRTC: what tells voice from other sound, 20 ms at a time."""

from functools import cache

import msgspec
import webrtcvad

from transcriber.audio.chunk import SAMPLE_RATE_HZ
from transcriber.recognition import vad_memory

MODE, STRICT_MODE = 2, 3
"""Of 0 (hears voice in much) to 3 (in little); chosen with OPEN_WINDOW and STAY_WINDOW of `voice_activity`."""


class VadSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """`memory` is empty where the build of the library is not known."""

    memory: bytes
    strict: bool


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

    def snapshot(self) -> VadSnapshot:
        """All that it has learnt of the track."""
        return VadSnapshot(vad_memory.read(self._vad._vad) if build_is_known() else b"", self._strict)

    def restore(self, snapshot: VadSnapshot) -> None:
        """Go on from there; without its memory as a new one. Raises ValueError."""
        self._strict = snapshot.strict
        self._vad.set_mode(STRICT_MODE if snapshot.strict else MODE)
        if snapshot.memory and build_is_known():
            vad_memory.write(self._vad._vad, snapshot.memory)


@cache
def build_is_known() -> bool:
    """Whether the memory of this build of the library can be copied."""
    return vad_memory.is_known(getattr(webrtcvad.Vad(MODE), "_vad", None))
