"""Writes as lines on disk: whole ones are read back as they were, others not at all."""

import pytest

from tests.sample_events import call_ended, call_started, dtmf, final, gap, stream_started, stream_stopped
from transcriber.events.schema import StreamError
from transcriber.outbox.stream_writes import EventAppended, StreamClosed, StreamOpened, Write, line, read, shifted

CALL = "CA1"
OPENING = StreamOpened(
    call=call_started(CALL), stream=stream_started(CALL), at_ms=1_700_000_000_000, call_ms=None, after=3, seq=9
)
ERROR = StreamError(call_sid=CALL, stream_sid="MZ1", code="bad_base64", message="zahl \n\u2028 다섯", at="")


@pytest.mark.parametrize(
    "record",
    [
        OPENING,
        EventAppended(1, 5, final(CALL, "drei wörter hier")),
        EventAppended(2, 5, dtmf(CALL)),
        EventAppended(3, 5, gap(CALL)),
        EventAppended(4, 5, ERROR),
        StreamClosed(5, 6, stream_stopped(CALL), call_ended(CALL)),
    ],
)
def test_a_line_is_read_back_as_it_was_and_no_part_of_it_is_read(record: StreamOpened | Write) -> None:
    text = line(record)
    assert text.count(b"\n") == 1
    assert read(text) == record
    assert [read(text[:end]) for end in range(len(text) - 1)] == [None] * (len(text) - 1)


@pytest.mark.parametrize("text", [b"", b"\n", b"[]\n", b'{"number":1}\n', b'{"events":[{"type":"what"}]}\n', b"\xff\n"])
def test_anything_else_is_no_record(text: bytes) -> None:
    assert read(text) is None


def test_all_times_are_shifted_and_nothing_else() -> None:
    spoken = shifted(final(CALL), 1000)
    assert (spoken.start_ms, spoken.end_ms) == (1100, 2100)
    assert {(word.start_ms, word.end_ms) for word in spoken.words} == {(1100, 1200)}
    missing = shifted(gap(CALL), 1000)
    assert (missing.from_ms, missing.to_ms) == (1100, 1340)
    assert shifted(dtmf(CALL), 1000).start_ms == 1010
    assert shifted(ERROR, 1000) == ERROR
