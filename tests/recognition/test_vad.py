"""The voice activity detector's memory: a copy of it judges on as the original does."""

import ctypes

import numpy as np
import pytest
import webrtcvad
from hypothesis import given
from hypothesis import strategies as st

from transcriber.audio import sample_calls
from transcriber.audio.g711 import expand
from transcriber.audio.wav import read_recording
from transcriber.recognition import vad_memory
from transcriber.recognition.vad import VadSnapshot, WebRtcVad, build_is_known

STEP_BYTES = 320
CALL = expand(read_recording(sample_calls.path("08_short_wrong_department")).tracks["inbound"]).tobytes()
STEPS = [CALL[at : at + STEP_BYTES] for at in range(0, len(CALL) - STEP_BYTES, STEP_BYTES)]
NOISE = np.random.default_rng(1).normal(0, 2000, (50, STEP_BYTES // 2)).astype("<i2")


def test_the_build_that_is_installed_is_known() -> None:
    assert build_is_known()


@given(at=st.integers(0, len(STEPS) - 1), strict=st.booleans(), later=st.booleans())
def test_a_copy_judges_on_alike(at: int, *, strict: bool, later: bool) -> None:
    original, copy = WebRtcVad(), WebRtcVad()
    for step in STEPS[:at]:
        original.is_voice(step, strict)
    for noise in NOISE:
        copy.is_voice(noise.tobytes(), True)
    copy.restore(original.snapshot())
    assert copy.snapshot() == original.snapshot()
    assert [copy.is_voice(step, later) for step in STEPS[at:]] == [
        original.is_voice(step, later) for step in STEPS[at:]
    ]
    assert copy.snapshot() == original.snapshot()


def test_a_new_detector_would_judge_otherwise() -> None:
    original = WebRtcVad()
    for noise in NOISE:
        original.is_voice(noise.tobytes(), False)
    told = [original.is_voice(step, False) for step in STEPS]
    assert told != [WebRtcVad().is_voice(step, False) for step in STEPS]


@pytest.mark.parametrize("memory", [bytes(vad_memory.MEMORY_BYTES), b"x", bytes(8) + vad_memory.MARK])
def test_what_is_no_memory_is_refused(memory: bytes) -> None:
    with pytest.raises(ValueError, match="memory"):
        WebRtcVad().restore(VadSnapshot(memory, strict=False))


def test_other_builds_and_other_things_are_not_known() -> None:
    used = webrtcvad.Vad(2)
    used.is_speech(STEPS[len(STEPS) // 2], 8000)
    for other in (None, 1, object(), used._vad):
        assert not vad_memory.is_known(other)
    made = ctypes.pythonapi.PyCapsule_New
    made.argtypes, made.restype = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p), ctypes.py_object
    zeros = ctypes.create_string_buffer(vad_memory.MEMORY_BYTES)
    assert not vad_memory.is_known(made(ctypes.addressof(zeros), b"WebRtcVadPtr", None))
    assert not vad_memory.is_known(made(ctypes.addressof(zeros), b"another", None))


def test_without_its_memory_it_begins_anew() -> None:
    resumed = WebRtcVad()
    resumed.restore(VadSnapshot(b"", strict=True))
    new = WebRtcVad()
    new.is_voice(bytes(STEP_BYTES), True)
    resumed.is_voice(bytes(STEP_BYTES), True)
    assert resumed.snapshot() == new.snapshot()
