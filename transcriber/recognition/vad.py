"""The voice activity detector of WebRTC: what tells voice from other sound, 20 ms at a time."""

import ctypes

import webrtcvad

from transcriber.audio.chunk import SAMPLE_RATE_HZ

MODE, STRICT_MODE = 2, 3
"""Of 0 (hears voice in much) to 3 (in little); chosen with OPEN_WINDOW and STAY_WINDOW of `voice_activity`."""
STATE_BYTES = 736
"""`VadInstT` of WebRTC's common_audio/vad/vad_core.h: whole numbers in one piece, no pointers …"""
INITIALISED = (42).to_bytes(4, "little")
"""… the last of which is `init_flag`; it says that the structure is as long as we take it to be."""
_CAPSULE = b"WebRtcVadPtr"
_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.argtypes, _pointer_of.restype = (ctypes.py_object, ctypes.c_char_p), ctypes.c_void_p


class WebRtcVad:
    """A track's. One thread at a time."""

    def __init__(self) -> None:
        self._vad = webrtcvad.Vad(MODE)
        self._strict = False

    def is_voice(self, pcm: bytes, strict: bool) -> bool:
        """Whether 16-bit little-endian PCM at 8 kHz sounds like a voice; where `strict`, surely so."""
        if strict != self._strict:
            self._strict = strict
            self._vad.set_mode(STRICT_MODE if strict else MODE)
        return bool(self._vad.is_speech(pcm, SAMPLE_RATE_HZ))

    def state(self) -> bytes:
        """All that it has learnt of the track; it keeps its estimates in C, and its wrapper does not give them out."""
        state = ctypes.string_at(self._address(), STATE_BYTES)
        if not state.endswith(INITIALISED):
            raise RuntimeError("this build of webrtcvad keeps another state than the one that was looked at")
        return state + bytes([self._strict])

    def restore(self, state: bytes) -> None:
        """Go on as the one whose state it is. Raises ValueError."""
        if len(state) != STATE_BYTES + 1 or not state[:STATE_BYTES].endswith(INITIALISED) or state[-1] > 1:
            raise ValueError("not the state of a voice activity detector")
        ctypes.memmove(self._address(), state, STATE_BYTES)
        self._strict = bool(state[-1])

    def _address(self) -> int:
        address: int = _pointer_of(self._vad._vad, _CAPSULE)
        return address
