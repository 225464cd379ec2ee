"""Telephone audio: the mu-law table, and an upsampler that does not care how its input is cut."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray
from scipy.signal import firwin

from transcriber.audio.chunk import Band
from transcriber.audio.g711 import MULAW, expand
from transcriber.audio.resampler import ONE, UpsamplerSnapshot, half_band
from transcriber.audio.sample_calls import path
from transcriber.audio.upsampling import upsampler
from transcriber.audio.wav import read_recording

BANDS: list[Band] = ["telephone", "wide"]


def samples(pcm: bytes) -> NDArray[np.int16]:
    return np.frombuffer(pcm, "<i2")


def all_of(band: Band, *pieces: bytes) -> bytes:
    resampler = upsampler(band)
    return b"".join(resampler.push(piece) for piece in pieces) + resampler.flush()


def tone(hertz: float, seconds: float = 0.5) -> bytes:
    wave = 12_000 * np.sin(2 * np.pi * hertz * np.arange(int(8000 * seconds)) / 8000)
    return bytes(np.abs(MULAW.astype(float)[None, :] - wave[:, None]).argmin(axis=1).astype(np.uint8))


def level(pcm: NDArray[np.int16], low: float, high: float) -> float:
    """Decibels of the part between two frequencies, against full scale."""
    windowed = pcm[800:-800] * np.hanning(len(pcm) - 1600)
    spectrum = np.abs(np.fft.rfft(windowed)) ** 2
    hertz = np.fft.rfftfreq(len(windowed), 1 / 16000)
    return float(10 * np.log10(spectrum[(hertz >= low) & (hertz < high)].sum() + 1e-9))


def test_mulaw_follows_g711() -> None:
    assert expand(bytes([0x00, 0x80, 0xFF, 0x7F, 0x0F, 0xF0])).tolist() == [-32124, 32124, 0, 0, -16764, 120]
    assert np.array_equal(MULAW[:128], -MULAW[128:])
    assert len(np.unique(MULAW)) == 255


@given(st.binary(min_size=0, max_size=3000), st.lists(st.integers(0, 400), max_size=20), st.sampled_from(BANDS))
def test_any_cut_gives_the_same_samples(mulaw: bytes, cuts: list[int], band: Band) -> None:
    pieces, rest = [], mulaw
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    whole = all_of(band, mulaw)
    assert all_of(band, *pieces, rest) == whole
    assert len(whole) == 4 * len(mulaw)


@pytest.mark.parametrize("band", BANDS)
def test_flush_leaves_nothing_behind(band: Band) -> None:
    resampler = upsampler(band)
    first = resampler.push(tone(440)) + resampler.flush()
    assert resampler.push(tone(440)) + resampler.flush() == first


@pytest.mark.parametrize("band", ["telephone", "wide"])
@given(mulaw=st.binary(max_size=3000), at=st.integers(0, 3000), heard=st.binary(max_size=900))
def test_another_one_goes_on_from_a_snapshot(mulaw: bytes, at: int, heard: bytes, band: Band) -> None:
    original, other = upsampler(band), upsampler(band)
    other.push(heard)
    original.push(mulaw[:at])
    other.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(original.snapshot()), type=UpsamplerSnapshot))
    assert other.push(mulaw[at:]) + other.flush() == original.push(mulaw[at:]) + original.flush()


def test_a_snapshot_of_another_band_or_shape_is_refused() -> None:
    wide, telephone = upsampler("wide"), upsampler("telephone")
    wide.push(bytes(2000))
    snapshot = wide.snapshot()
    with pytest.raises(ValueError, match="band"):
        telephone.restore(snapshot)
    assert snapshot.extender is not None
    with pytest.raises(ValueError, match=r"."):
        wide.restore(replace(snapshot, extender=replace(snapshot.extender, tail=bytes(8))))
    with pytest.raises(ValueError, match=r"."):
        wide.restore(replace(snapshot, held=b"odd"))


def test_telephone_samples_stay_where_they_were() -> None:
    mulaw = tone(440)
    assert np.array_equal(samples(all_of("telephone", mulaw))[::2], expand(mulaw))


@pytest.mark.parametrize("hertz", [300, 1000, 2500, 3400])
def test_the_clean_filter_leaves_no_mirror_image(hertz: float) -> None:
    pcm = samples(all_of("telephone", tone(hertz)))
    assert level(pcm, hertz - 100, hertz + 100) - level(pcm, 4500, 8000) > 55


def test_wide_models_get_an_upper_band_and_the_lower_one_as_it_was() -> None:
    mulaw = read_recording(path("08_short_wrong_department")).tracks["outbound"][8000:24_000]
    clean, wide = samples(all_of("telephone", mulaw)), samples(all_of("wide", mulaw))
    assert level(wide, 4200, 7500) - level(clean, 4200, 7500) > 15
    assert abs(level(wide, 300, 3400) - level(clean, 300, 3400)) < 0.5
    assert level(wide, 300, 3400) - level(wide, 4200, 7500) > 3


@pytest.mark.parametrize("mulaw", [b"\xff" * 8000, b"\x7f" * 8000, b"\xff\x7f" * 4000])
def test_nothing_is_added_to_silence(mulaw: bytes) -> None:
    assert np.abs(samples(all_of("wide", mulaw)).astype(int)).max() <= 1


@pytest.mark.parametrize("mulaw", [b"\x00\x80" * 4000, b"\x80" * 8000, bytes(range(256)) * 40])
def test_the_loudest_sound_stays_sound(mulaw: bytes) -> None:
    pcm = samples(all_of("wide", mulaw))
    assert len(pcm) == 2 * len(mulaw)


def test_the_taps_are_the_window_design_of_the_textbook() -> None:
    taps = half_band(24)
    design = firwin(95, 0.5, window=("kaiser", 6.0), scale=False)[::2]
    assert np.abs(taps / ONE - 2 * design).max() < 1e-3
    assert taps.sum() == ONE
    assert np.array_equal(taps, taps[::-1])
