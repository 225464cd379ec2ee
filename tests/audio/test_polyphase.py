"""Recordings from any rate to any other: SciPy's resampler is the second opinion."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from transcriber.audio.polyphase import resample

RATES = [1000, 7350, 7999, 8001, 11_025, 12_000, 16_000, 22_050, 44_100, 48_000, 96_000, 768_000]


@given(st.sampled_from(RATES), st.booleans(), st.integers(1, 3000), st.integers(0, 2**32 - 1))
@settings(max_examples=50)
@example(191_999, True, 3000, 0)
def test_it_gives_what_scipy_gives(rate_hz: int, to_telephone: bool, length: int, seed: int) -> None:
    from_hz, to_hz = (rate_hz, 8000) if to_telephone else (8000, min(rate_hz, 48_000))
    samples = np.random.default_rng(seed).uniform(-32768, 32767, length)
    common = math.gcd(from_hz, to_hz)
    expected = resample_poly(samples, to_hz // common, from_hz // common)
    found = resample(samples, from_hz, to_hz)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-6


def test_nothing_becomes_nothing() -> None:
    assert len(resample(np.zeros(0), 44_100, 8000)) == 0


@pytest.mark.parametrize("rate_hz", [11_025, 16_000, 44_100, 48_000])
def test_what_telephones_cannot_carry_is_gone_and_nothing_moves(rate_hz: int) -> None:
    at = np.arange(rate_hz) / rate_hz
    low, high = np.sin(2 * np.pi * 1000 * at), np.sin(2 * np.pi * 5000 * at)
    heard = resample(low + high, rate_hz, 8000)[200:-200]
    assert np.abs(heard - np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)[200:-200]).max() < 0.01
