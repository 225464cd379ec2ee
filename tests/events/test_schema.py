"""The JSON of events: as the standard library writes the same fields, and as it was recorded."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.events.recordings import texts
from transcriber.events.schema import (
    CallEnded,
    CallStarted,
    Dtmf,
    Event,
    Final,
    Gap,
    Partial,
    Persisted,
    StreamError,
    StreamStarted,
    StreamStopped,
    Word,
    json_around_seq,
    parse,
    to_json,
)
from transcriber.outbox.stream_writes import EventAppended, StreamClosed, StreamOpened, line, read

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
MS = st.integers(-(2**40), 2**53)
CONFIDENCE = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)
"""The recognizer's are rounded to three places."""
COUNTS = st.dictionaries(TEXT, MS)
WORDS = st.lists(st.builds(Word, TEXT, MS, MS, CONFIDENCE)).map(tuple)
TEXTS = st.lists(TEXT).map(tuple)
UTTERANCE = dict(
    **dict.fromkeys(("call_sid", "stream_sid", "track", "speaker", "text", "language", "model", "at"), TEXT),
    **dict.fromkeys(("utterance", "start_ms", "end_ms"), MS),
)
FACT = dict.fromkeys(("call_sid", "stream_sid", "track", "at"), TEXT)

partials = st.builds(Partial, **UTTERANCE, revision=MS, stable=MS)
finals = st.builds(Final, **UTTERANCE, confidence=CONFIDENCE, words=WORDS)
call_starts = st.builds(CallStarted, call_sid=TEXT, account_sid=TEXT, resumed=st.booleans(), at=TEXT)
stream_starts = st.builds(
    StreamStarted,
    **dict.fromkeys(("call_sid", "stream_sid", "language", "model", "at"), TEXT),
    **dict.fromkeys(("speakers", "parameters"), st.dictionaries(TEXT, TEXT)),
    **dict.fromkeys(("tracks", "unknown_words"), TEXTS),
    start_ms=MS,
)
stream_stops = st.builds(
    StreamStopped,
    **dict.fromkeys(("call_sid", "stream_sid", "reason", "at"), TEXT),
    audio_ms=COUNTS,
    errors=COUNTS,
)
call_ends = st.builds(CallEnded, call_sid=TEXT, reason=TEXT, at=TEXT)
others = st.one_of(
    finals,
    st.builds(Dtmf, **FACT, digit=TEXT, start_ms=MS),
    st.builds(Gap, **FACT, from_ms=MS, to_ms=MS),
    st.builds(StreamError, **dict.fromkeys(("call_sid", "stream_sid", "code", "message", "at"), TEXT)),
)
persisted = st.one_of(call_starts, stream_starts, stream_stops, call_ends, others)


def fields(event: Event) -> dict[str, Any]:
    """By name, in the order of their definition."""
    return {name: getattr(event, name) for name in event.__struct_fields__}


def plain(data: object) -> str:
    """The reference: the standard library's JSON."""

    def word(value: Word) -> dict[str, Any]:
        return {name: getattr(value, name) for name in value.__struct_fields__}

    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=word)


@given(partials)
def test_a_partial_is_written_as_the_standard_library_does(event: Partial) -> None:
    assert to_json(event) == plain({"v": 1, "type": "partial", **fields(event)})


@given(persisted, st.integers(1, 10**9))
def test_what_is_kept_is_written_so_around_its_number(event: Persisted, seq: int) -> None:
    head, tail = json_around_seq(event)
    assert f"{head}{seq}{tail}" == plain({"v": 1, "type": event.type, "seq": seq, **fields(event)})


@given(call_starts, stream_starts, stream_stops, call_ends, others)
def test_a_line_of_the_outbox_too_and_it_is_read_back(
    call: CallStarted, stream: StreamStarted, stopped: StreamStopped, ended: CallEnded, event: Persisted
) -> None:
    head = {"at_ms": 5, "call_ms": None, "after": 2, "seq": 9}
    opened = StreamOpened(call=call, stream=stream, at_ms=5, after=2, seq=9)
    closed, appended = StreamClosed(4, 7, stopped, ended), EventAppended(3, 6, event)
    for record, expected in (
        (opened, {**head, "events": [_kept(call), _kept(stream)]}),
        (appended, {"number": 3, "noted_ms": 6, "events": [_kept(event)]}),
        (closed, {"number": 4, "noted_ms": 7, "events": [_kept(stopped), _kept(ended)]}),
    ):
        text = line(record)
        assert text.decode() == plain(expected) + "\n"
        assert read(text) == record


def test_every_recorded_event_is_read_and_written_byte_for_byte() -> None:
    seen = 0
    for text in texts():
        data = parse(text)
        assert data.pop("v") == 1
        seq = data.pop("seq", None)
        event = msgspec.convert(data, Partial | Persisted)
        head, tail = json_around_seq(event)
        assert (to_json(event) if seq is None else f"{head}{seq}{tail}") == text
        seen += 1
    assert seen > 1000


@pytest.mark.parametrize(
    "text",
    [
        '{"number":1,"noted_ms":2,"events":[{"type":"partial","call_sid":"CA1"}]}',
        '{"number":1,"noted_ms":2,"events":[{"type":"call.ended","call_sid":"CA1","reason":"","at":"","more":1}]}',
        '{"number":1,"noted_ms":2,"events":[{"type":"call.ended","call_sid":"CA1","reason":""}]}',
        '{"number":1,"events":[{"type":"call.ended","call_sid":"CA1","reason":"","at":""}]}',
        '{"number":1,"noted_ms":2,"events":[]}',
        "[" * 100_000,
    ],
)
def test_a_line_that_another_version_understands_is_not_taken_for_ours(text: str) -> None:
    assert read(text.encode() + b"\n") is None


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ('{"type":"final","later":[1]}', {"type": "final", "later": [1]}),
        ('{"confidence":NaN}', {"confidence": pytest.approx(float("nan"), nan_ok=True)}),
        ('{"text":"\\ud800"}', {"text": "\ud800"}),
        ("[]", {}),
        ("{", {}),
        ("[" * 100_000, {}),
    ],
)
def test_what_others_publish_is_read_with_patience(text: str, event: dict[str, Any]) -> None:
    assert parse(text) == event


def _kept(event: Event) -> dict[str, Any]:
    return {"type": event.type, **fields(event)}
