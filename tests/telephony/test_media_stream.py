"""One stream's state machine: what is refused, what is passed over, and that no good audio is lost on the way."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.telephony.test_messages import STREAM, start_message
from transcriber.audio.chunk import AudioChunk
from transcriber.telephony.media_stream import SPARE_EVENTS, MediaStream, Outcome
from transcriber.telephony.outcomes import AudioGap, DtmfReceived, StopReceived, StreamFault, StreamRefused
from transcriber.telephony.twilio.messages import Start


def media(sequence: Any, timestamp: Any, *, track: str = "inbound", audio: bytes = b"\x01" * 160) -> dict[str, Any]:
    """A media message; counters as Twilio types them unless they are nonsense on purpose."""
    body = {"track": track, "timestamp": str(timestamp), "payload": base64.b64encode(audio).decode()}
    return {"event": "media", "sequenceNumber": str(sequence), "streamSid": STREAM, "media": body}


def live() -> MediaStream:
    """A stream behind its start."""
    stream = MediaStream()
    [started] = stream.receive(json.dumps(start_message()))
    assert isinstance(started, Start)
    return stream


def feed(stream: MediaStream, *messages: Any) -> list[Outcome]:
    texts = (message if isinstance(message, str) else json.dumps(message) for message in messages)
    return [outcome for text in texts for outcome in stream.receive(text)]


def audio_of(outcomes: Sequence[Outcome], track: str = "inbound") -> bytes:
    return b"".join(item.payload for item in outcomes if isinstance(item, AudioChunk) and item.track == track)


def codes(outcomes: Sequence[Outcome]) -> list[str]:
    return [item.code for item in outcomes if isinstance(item, StreamFault)]


def test_connected_is_optional_and_tracks_are_told_apart() -> None:
    stream = live()
    outcomes = feed(
        stream,
        media(2, 155, audio=b"a" * 160),
        media(3, 155, track="outbound", audio=b"b" * 160),
        media(4, 175, audio=b"c" * 160),
        {"event": "stop", "sequenceNumber": "5", "streamSid": STREAM, "stop": {}},
    )
    assert audio_of(outcomes) == b"a" * 160 + b"c" * 160
    assert audio_of(outcomes, "outbound") == b"b" * 160
    assert outcomes[-1] == StopReceived()
    assert stream.audio_ms() == {"inbound": 40, "outbound": 20}
    assert not stream.faults
    assert feed(stream, media(6, 195)) == []


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("nonsense", 1007),
        ([], 1008),
        ({}, 1008),
        (media(1, 0), 1008),
        ({"event": "stop"}, 1008),
        ({"event": "start"}, 1008),
        (start_message(mediaFormat={"encoding": "audio/opus", "sampleRate": 8000, "channels": 1}), 1003),
        (start_message(mediaFormat={"encoding": "audio/x-mulaw", "sampleRate": 16000, "channels": 1}), 1003),
        (start_message(mediaFormat={"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 2}), 1003),
    ],
)
def test_what_is_no_beginning_is_refused(first: Any, code: int) -> None:
    [refused] = feed(MediaStream(), {"event": "connected"}, first)
    assert isinstance(refused, StreamRefused)
    assert refused.close_code == code
    assert refused.reason


def test_no_json_ends_a_live_stream() -> None:
    [refused] = feed(live(), "{")
    assert isinstance(refused, StreamRefused)
    assert refused.close_code == 1007


def test_nonsense_in_a_live_stream_is_reported_once_and_loses_no_audio() -> None:
    stream = live()
    nonsense: list[Any] = [
        [1, 2],
        {"event": "video"},
        {"event": "media", "media": {"payload": "?"}},
        {"event": "media", "media": None},
        start_message(),
        {"event": "connected"},
        media(2, 155, audio=b"x" * 160),
        {"event": "media", "sequenceNumber": "1000000", "media": {"track": "third", "payload": "////"}},
        {"event": "dtmf", "dtmf": {"digit": "ten"}},
        {"event": "media", "sequenceNumber": {}, "media": {"payload": "", "timestamp": "1e9"}},
    ]
    outcomes: list[Outcome] = []
    for number in range(2, 52):
        frame = bytes([number]) * 160
        outcomes += feed(stream, media(number, 155 + 20 * (number - 2), audio=frame), *nonsense)
    assert audio_of(outcomes) == b"".join(bytes([number]) * 160 for number in range(2, 52))
    assert not [item for item in outcomes if isinstance(item, (AudioGap, StreamRefused))]
    reported = codes(outcomes)
    assert len(reported) == len(set(reported))
    assert set(reported) == set(stream.faults)
    assert stream.faults["not_object"] == 50
    assert stream.faults["repeated_sequence"] >= 49


def test_a_sequence_that_jumps_is_counted() -> None:
    stream = live()
    outcomes = feed(stream, media(2, 0), media(5, 20), media(6, 40), media(10**9, 60), media(7, 80), media(8, 100))
    assert len(audio_of(outcomes)) == 6 * 160
    assert stream.frames_lost == 2
    assert codes(outcomes) == ["messages_lost", "sequence_jump"]


def test_missing_audio_is_silence_and_a_gap() -> None:
    outcomes = feed(live(), media(2, 155), media(3, 175), media(9, 1000))
    assert [item for item in outcomes if isinstance(item, AudioGap)] == [AudioGap("inbound", 195, 1000)]
    assert len(audio_of(outcomes)) == 320 + 805 * 8 + 160


def test_keys_carry_the_time_they_were_pressed() -> None:
    dtmf = {"event": "dtmf", "sequenceNumber": "4", "dtmf": {"track": "inbound_track", "digit": "5"}}
    outcomes = feed(live(), media(2, 155), media(3, 175), dtmf)
    assert outcomes[-1] == DtmfReceived("inbound", "5", 195)


@given(st.lists(st.text(max_size=40) | st.binary(max_size=40).map(repr), max_size=20), st.booleans())
def test_any_soup_gives_outcomes_never_an_exception(soup: list[str], started: bool) -> None:
    stream = live() if started else MediaStream()
    for text in soup:
        assert all(isinstance(outcome, Outcome) for outcome in stream.receive(text))


@given(st.binary(min_size=1, max_size=4000), st.lists(st.integers(1, 999), max_size=30))
def test_any_cut_of_the_audio_gives_the_same_audio(mulaw: bytes, cuts: list[int]) -> None:
    stream, position, outcomes = live(), 0, list[Outcome]()
    for number, cut in enumerate([*cuts, len(mulaw)]):
        piece = mulaw[position : position + cut]
        outcomes += feed(stream, media(number + 2, 155 + position // 8, audio=piece))
        position += len(piece)
    assert audio_of(outcomes) == mulaw
    chunks = [item for item in outcomes if isinstance(item, AudioChunk)]
    assert all(
        chunk.start_sample == 155 * 8 + sum(len(before.payload) for before in chunks[:number])
        for number, chunk in enumerate(chunks)
    )


def dtmf(sequence: int) -> dict[str, Any]:
    body = {"track": "inbound_track", "digit": "5"}
    return {"event": "dtmf", "sequenceNumber": str(sequence), "streamSid": STREAM, "dtmf": body}


def test_keys_beyond_all_typing_are_counted_and_not_kept() -> None:
    stream = live()
    outcomes = feed(stream, *map(dtmf, range(2, 5002)))
    assert len([item for item in outcomes if isinstance(item, DtmfReceived)]) == SPARE_EVENTS
    assert codes(outcomes) == ["too_many_events"]
    assert stream.faults == {"too_many_events": 5000 - SPARE_EVENTS}


def test_somebody_who_types_as_fast_as_hands_can_is_heard_out() -> None:
    """20 keys a second for 50 s, and one a second for the rest of an hour."""
    stream, sequence, pressed = live(), 2, 0
    for second in range(3600):
        messages = [media(sequence, second * 1000, audio=b"\x01" * 8000)]
        messages += [dtmf(sequence + number) for number in range(1, 21 if second < 50 else 2)]
        sequence += len(messages)
        pressed += len([item for item in feed(stream, *messages) if isinstance(item, DtmfReceived)])
    assert pressed == 20 * 50 + 3550
    assert not stream.faults


def test_an_hour_with_a_hole_behind_every_frame_keeps_gaps_all_along_and_its_keys() -> None:
    stream = live()
    frames = range(45_000)
    gaps = [
        item for number in frames for item in feed(stream, media(number + 2, number * 80)) if isinstance(item, AudioGap)
    ]
    assert len(gaps) == SPARE_EVENTS + len(frames) * 20 // 1000
    assert gaps[-1].to_ms > 3_590_000
    assert stream.faults["too_many_events"] == len(frames) - 1 - len(gaps)
    assert [item for item in feed(stream, dtmf(45_002)) if isinstance(item, DtmfReceived)]
