"""From fed milliseconds to the stream's clock: words find their place, and the map stays small."""

from transcriber.recognition.timestamp_mapper import TimestampMapper


def test_words_are_put_back_behind_gaps() -> None:
    mapper = TimestampMapper()
    mapper.feed(8000, start_sample=155 * 8)
    mapper.feed(4000, start_sample=60_000 * 8)
    assert mapper.start_ms(0) == 155
    assert mapper.end_ms(1000) == 1155
    assert mapper.start_ms(1000) == 60_000
    assert mapper.end_ms(1500) == 60_500


def test_the_map_forgets_and_still_answers() -> None:
    mapper = TimestampMapper()
    for number in range(1000):
        mapper.feed(800, start_sample=number * 8000)
        mapper.forget_before(mapper.fed_ms)
    mapper.feed(800, start_sample=5_000_000 * 8)
    assert mapper.start_ms(mapper.fed_ms - 50) == 5_000_050
    assert len(mapper) <= 2
