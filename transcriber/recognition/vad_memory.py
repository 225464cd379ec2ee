"""The memory of WebRTC's voice activity detector, read and written.

The detector adapts to its track, and the wrapper `webrtcvad` keeps what it has learnt in a structure of C that it does
not give out: a capsule called WebRtcVadPtr that points to a `VadInstT`. That is a plain structure of numbers, without
pointers: a copy of its bytes in another detector of the same build judges on as this one would. Its members, in bytes
(WebRTC, common_audio/vad/vad_core.h): 0 the verdict, 4 filters for other sample rates, 180 means and deviations of the
models of noise and speech, 276 counters, 284 the ages and 476 the values of the lowest energies, 668 their medians,
680 filters, 708 limits of the mode, 732 a mark that says it is initialised.

A build that lays it out otherwise is refused: in a new detector some members have known values. No detector is given
memory that does not carry the mark.
"""

import ctypes
import struct

MEMORY_BYTES = 736
NEW_VALUES = ((284, "<96h", 0), (476, "<96h", 10_000), (668, "<6h", 1600), (732, "<i", 42))
"""Of a new detector: where members lie, what they are, and what each number in them is."""
MARK = struct.pack("<i", 42)
_CAPSULE = b"WebRtcVadPtr"
_is_capsule = ctypes.pythonapi.PyCapsule_IsValid
_is_capsule.argtypes, _is_capsule.restype = (ctypes.py_object, ctypes.c_char_p), ctypes.c_int
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.argtypes, _pointer.restype = (ctypes.py_object, ctypes.c_char_p), ctypes.c_void_p


def is_known(new_detector: object) -> bool:
    """Whether a new detector's capsule holds the structure that is described above."""
    if not _is_capsule(new_detector, _CAPSULE):
        return False
    memory = ctypes.string_at(_pointer(new_detector, _CAPSULE), MEMORY_BYTES)
    return all(set(struct.unpack_from(kind, memory, at)) == {value} for at, kind, value in NEW_VALUES)


def read(detector: object) -> bytes:
    """A copy of the memory of a detector whose build is known."""
    return ctypes.string_at(_pointer(detector, _CAPSULE), MEMORY_BYTES)


def write(detector: object, memory: bytes) -> None:
    """Let a detector of the same build go on from there. Raises ValueError when it is no detector's memory."""
    if len(memory) != MEMORY_BYTES or not memory.endswith(MARK):
        raise ValueError("not the memory of a voice activity detector")
    ctypes.memmove(_pointer(detector, _CAPSULE), memory, MEMORY_BYTES)
