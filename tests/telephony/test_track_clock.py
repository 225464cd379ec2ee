"""A track's clock: jitter is nothing, gaps are filled, and nonsense loses no audio."""

from hypothesis import given
from hypothesis import strategies as st

from transcriber.audio.chunk import AudioChunk
from transcriber.telephony.outcomes import AudioGap, StreamFault
from transcriber.telephony.track_clock import Aligned, TrackClock

FRAME = b"\x01" * 160


def align(*timestamps: int | None, clock: TrackClock | None = None) -> list[Aligned]:
    clock = clock or TrackClock("inbound")
    return [item for timestamp in timestamps for item in clock.align(FRAME, timestamp)]


def starts_ms(aligned: list[Aligned]) -> list[int]:
    """Start positions, in ms, of the frames that came."""
    return [item.start_sample // 8 for item in aligned if isinstance(item, AudioChunk) and item.payload == FRAME]


def test_a_track_begins_where_its_first_timestamp_says() -> None:
    assert starts_ms(align(155, 175, 195)) == [155, 175, 195]


def test_timestamps_are_optional() -> None:
    assert starts_ms(align(None, None, None)) == [0, 20, 40]


def test_jitter_moves_nothing() -> None:
    aligned = align(155, 173, 197, 214, 236, 253)
    assert starts_ms(aligned) == [155, 175, 195, 215, 235, 255]
    assert all(isinstance(item, AudioChunk) for item in aligned)


def test_missing_audio_becomes_silence_and_a_gap() -> None:
    aligned = align(0, 20, 540)
    assert aligned[2:] == [
        AudioGap("inbound", 40, 540),
        AudioChunk("inbound", b"\xff" * 500 * 8, 40 * 8),
        AudioChunk("inbound", FRAME, 540 * 8),
    ]


def test_a_single_lost_frame_shifts_nothing_for_long() -> None:
    clock = TrackClock("inbound")
    align(0, 20, clock=clock)
    aligned = align(*range(60, 60 + 20 * 200, 20), clock=clock)
    assert not [item for item in aligned if not isinstance(item, AudioChunk)]
    assert 0 < 60 + 20 * 200 - clock.end_sample / 8 <= 20


def test_an_hour_missing_allocates_seconds() -> None:
    aligned = align(0, 3_600_000, 3_600_020, 3_600_040)
    silence = [item for item in aligned if isinstance(item, AudioChunk) and item.payload != FRAME]
    assert sum(len(item.payload) for item in silence) <= 2 * 8000
    assert AudioGap("inbound", 20, 3_600_000) in aligned
    assert starts_ms(aligned) == [0, 3_600_000, 3_600_020, 3_600_040]


def test_the_first_frame_behind_a_jump_lies_behind_it_however_long_it_is() -> None:
    clock, long = TrackClock("inbound"), b"\x01" * 24_000
    aligned = [item for at in (0, 3000, 63_000, 66_000) for item in clock.align(long, at)]
    assert [item.start_sample // 8 for item in aligned if isinstance(item, AudioChunk) and item.payload == long] == [
        0,
        3000,
        63_000,
        66_000,
    ]
    assert [item for item in aligned if isinstance(item, AudioGap)] == [AudioGap("inbound", 6000, 63_000)]


def test_a_jump_that_nothing_follows_is_not_believed_and_loses_no_audio() -> None:
    clock = TrackClock("inbound")
    assert starts_ms(align(0, 60_000, clock=clock)) == [0]
    assert clock.flush() == [
        StreamFault("strange_timestamp", "a timestamp was 59980 ms off and passed over"),
        AudioChunk("inbound", FRAME, 20 * 8),
    ]
    assert clock.flush() == []


def test_one_implausible_timestamp_is_passed_over() -> None:
    for timestamp in (9_999_999, 0):
        aligned = align(5000, 5020, timestamp, 5060, 5080)
        assert starts_ms(aligned) == [5000, 5020, 5040, 5060, 5080]
        assert len([item for item in aligned if isinstance(item, StreamFault)]) == 1
        assert not [item for item in aligned if isinstance(item, AudioGap)]


def test_a_clock_set_back_goes_on_and_still_sees_gaps() -> None:
    clock = TrackClock("inbound")
    aligned = align(5000, 5020, 100, 120, 140, clock=clock)
    assert starts_ms(aligned) == [5000, 5020, 5040, 5060, 5080]
    assert len([item for item in aligned if isinstance(item, StreamFault)]) == 1
    later = align(160, 680, clock=clock)
    assert [item for item in later if isinstance(item, AudioGap)] == [AudioGap("inbound", 5120, 5620)]


def test_slow_drift_is_followed_without_gaps() -> None:
    clock = TrackClock("inbound")
    frames = 50 * 600
    aligned = align(*(round(number * 20 * 1.0002) for number in range(frames)), clock=clock)
    assert not [item for item in aligned if not isinstance(item, AudioChunk)]
    assert abs(clock.end_sample / 8 - frames * 20 * 1.0002) < 15


@given(st.lists(st.none() | st.integers(0, 10**7), max_size=60))
def test_whatever_the_timestamps_no_audio_is_lost_and_memory_is_bounded(timestamps: list[int | None]) -> None:
    clock = TrackClock("inbound")
    aligned = [*align(*timestamps, clock=clock), *clock.flush()]
    assert sum(1 for item in aligned if isinstance(item, AudioChunk) and item.payload == FRAME) == len(timestamps)
    assert sum(len(item.payload) for item in aligned if isinstance(item, AudioChunk)) <= len(timestamps) * (
        160 + 16_000
    )
    starts = [item.start_sample for item in aligned if isinstance(item, AudioChunk)]
    assert starts == sorted(starts)


@given(st.lists(st.integers(1, 900), min_size=1, max_size=40), st.integers(0, 100_000))
def test_any_cut_gives_the_same_positions(lengths: list[int], origin_ms: int) -> None:
    clock, position = TrackClock("inbound"), 0
    for length in lengths:
        [chunk] = clock.align(b"\x01" * length, origin_ms + position // 8)
        assert chunk == AudioChunk("inbound", b"\x01" * length, origin_ms * 8 + position)
        position += length
