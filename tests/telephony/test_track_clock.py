"""A track's clock: jitter is nothing, holes are filled, nonsense loses no audio, and words find their place."""

from hypothesis import given
from hypothesis import strategies as st

from transcriber.telephony.track_clock import ClockGap, ImplausibleTimestamp, Span, TimestampMapper, TrackClock

FRAME = b"\x01" * 160
Placed = list[Span | ClockGap | ImplausibleTimestamp]


def place(*timestamps: int | None, timeline: TrackClock | None = None) -> Placed:
    timeline = timeline or TrackClock()
    return [item for timestamp in timestamps for item in timeline.align(FRAME, timestamp)]


def heard(placed: Placed) -> list[int]:
    """Start positions, in ms, of the frames that came."""
    return [item.at // 8 for item in placed if isinstance(item, Span) and item.payload == FRAME]


def test_a_track_begins_where_its_first_timestamp_says() -> None:
    assert heard(place(155, 175, 195)) == [155, 175, 195]


def test_timestamps_are_optional() -> None:
    assert heard(place(None, None, None)) == [0, 20, 40]


def test_jitter_moves_nothing() -> None:
    placed = place(155, 173, 197, 214, 236, 253)
    assert heard(placed) == [155, 175, 195, 215, 235, 255]
    assert all(isinstance(item, Span) for item in placed)


def test_missing_audio_becomes_silence_and_a_hole() -> None:
    placed = place(0, 20, 540)
    assert placed[2:] == [ClockGap(40 * 8, 540 * 8), Span(b"\xff" * 500 * 8, 40 * 8), Span(FRAME, 540 * 8)]


def test_a_single_lost_frame_shifts_nothing_for_long() -> None:
    timeline = TrackClock()
    place(0, 20, timeline=timeline)
    placed = place(*range(60, 60 + 20 * 200, 20), timeline=timeline)
    assert not [item for item in placed if not isinstance(item, Span)]
    assert 0 < 60 + 20 * 200 - timeline.end / 8 <= 20


def test_an_hour_missing_allocates_seconds() -> None:
    placed = place(0, 3_600_000, 3_600_020, 3_600_040)
    silence = [item for item in placed if isinstance(item, Span) and item.payload != FRAME]
    assert sum(len(item.payload) for item in silence) <= 2 * 8000
    assert ClockGap(20 * 8, 3_600_000 * 8) in placed
    assert heard(placed) == [0, 3_600_000, 3_600_020, 3_600_040]


def test_the_first_frame_behind_a_leap_lies_behind_it_however_long_it_is() -> None:
    timeline, long = TrackClock(), b"\x01" * 24_000
    placed = [item for at in (0, 3000, 63_000, 66_000) for item in timeline.align(long, at)]
    assert [item.at // 8 for item in placed if isinstance(item, Span) and item.payload == long] == [
        0,
        3000,
        63_000,
        66_000,
    ]
    assert [item for item in placed if isinstance(item, ClockGap)] == [ClockGap(6000 * 8, 63_000 * 8)]


def test_a_leap_that_nothing_follows_is_not_believed_and_loses_no_audio() -> None:
    timeline = TrackClock()
    assert heard(place(0, 60_000, timeline=timeline)) == [0]
    assert timeline.flush() == [ImplausibleTimestamp(59_980), Span(FRAME, 20 * 8)]
    assert timeline.flush() == []


def test_one_mad_timestamp_is_passed_over() -> None:
    for mad in (9_999_999, 0):
        placed = place(5000, 5020, mad, 5060, 5080)
        assert heard(placed) == [5000, 5020, 5040, 5060, 5080]
        assert len([item for item in placed if isinstance(item, ImplausibleTimestamp)]) == 1
        assert not [item for item in placed if isinstance(item, ClockGap)]


def test_a_clock_set_back_goes_on_and_still_sees_holes() -> None:
    timeline = TrackClock()
    placed = place(5000, 5020, 100, 120, 140, timeline=timeline)
    assert heard(placed) == [5000, 5020, 5040, 5060, 5080]
    assert len([item for item in placed if isinstance(item, ImplausibleTimestamp)]) == 1
    later = place(160, 680, timeline=timeline)
    assert [item for item in later if isinstance(item, ClockGap)] == [ClockGap(5120 * 8, 5620 * 8)]


def test_slow_drift_is_followed_without_holes() -> None:
    timeline = TrackClock()
    frames = 50 * 600
    placed = place(*(round(number * 20 * 1.0002) for number in range(frames)), timeline=timeline)
    assert not [item for item in placed if not isinstance(item, Span)]
    assert abs(timeline.end / 8 - frames * 20 * 1.0002) < 15


@given(st.lists(st.none() | st.integers(0, 10**7), max_size=60))
def test_whatever_the_timestamps_no_audio_is_lost_and_memory_is_bounded(timestamps: list[int | None]) -> None:
    timeline = TrackClock()
    placed = [*place(*timestamps, timeline=timeline), *timeline.flush()]
    assert sum(1 for item in placed if isinstance(item, Span) and item.payload == FRAME) == len(timestamps)
    assert sum(len(item.payload) for item in placed if isinstance(item, Span)) <= len(timestamps) * (160 + 16_000)
    ends = [item.at for item in placed if isinstance(item, Span)]
    assert ends == sorted(ends)


@given(st.lists(st.integers(1, 900), min_size=1, max_size=40), st.integers(0, 100_000))
def test_any_cut_gives_the_same_positions(lengths: list[int], origin_ms: int) -> None:
    timeline, position = TrackClock(), 0
    for length in lengths:
        [span] = timeline.align(b"\x01" * length, origin_ms + position // 8)
        assert span == Span(b"\x01" * length, origin_ms * 8 + position)
        position += length


def test_words_are_put_back_behind_holes() -> None:
    clock = TimestampMapper()
    clock.feed(8000, at=155 * 8)
    clock.feed(4000, at=60_000 * 8)
    assert clock.start_ms(0) == 155
    assert clock.end_ms(1000) == 1155
    assert clock.start_ms(1000) == 60_000
    assert clock.end_ms(1500) == 60_500


def test_the_map_forgets_and_still_answers() -> None:
    clock = TimestampMapper()
    for number in range(1000):
        clock.feed(800, at=number * 8000)
        clock.forget_before(clock.fed_ms)
    clock.feed(800, at=5_000_000 * 8)
    assert clock.start_ms(clock.fed_ms - 50) == 5_000_050
    assert len(clock._fed) <= 2
