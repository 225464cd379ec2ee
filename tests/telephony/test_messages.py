"""The wire: every documented message, and everything that is not one."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.telephony.outcomes import StreamFault
from transcriber.telephony.twilio import messages

STREAM = "MZ" + "2" * 32
CALL = "CA" + "1" * 32


def start_message(**changes: Any) -> dict[str, Any]:
    """The start of the documentation, with changes to its `start` object."""
    start = {
        "accountSid": "AC" + "0" * 32,
        "streamSid": STREAM,
        "callSid": CALL,
        "tracks": ["inbound", "outbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"tenant": "t-17"},
    }
    return {"event": "start", "sequenceNumber": "1", "streamSid": STREAM, "start": start | changes}


def decode(message: Any) -> messages.Message:
    return messages.parse_message(json.dumps(message))


def test_the_documented_messages_are_read() -> None:
    assert decode({"event": "connected", "protocol": "Call", "version": "1.0.0"}) == messages.Connected()
    start = decode(start_message())
    assert isinstance(start, messages.Start)
    assert (start.stream_sid, start.call_sid, start.tracks) == (STREAM, CALL, ("inbound", "outbound"))
    assert (start.encoding, start.sample_rate, start.channels) == ("audio/x-mulaw", 8000, 1)
    assert start.parameters == {"tenant": "t-17"}
    payload = base64.b64encode(b"\xff\x7f\x00").decode()
    media = {"track": "outbound", "chunk": "1", "timestamp": "155", "payload": payload}
    assert decode({"event": "media", "sequenceNumber": "2", "streamSid": STREAM, "media": media}) == messages.Media(
        2, "outbound", 155, b"\xff\x7f\x00"
    )
    dtmf = {"event": "dtmf", "sequenceNumber": "3", "dtmf": {"track": "inbound_track", "digit": "#"}}
    assert decode(dtmf) == messages.Dtmf(3, "inbound", "#")
    assert decode({"event": "mark", "sequenceNumber": "4", "mark": {"name": "x"}}) == messages.Mark(4)
    assert decode({"streamSid": STREAM, "stop": {}, "event": "stop", "sequenceNumber": "5"}) == messages.Stop(5)


@pytest.mark.parametrize("number", ["7", 7])
def test_counters_come_as_strings_or_numbers(number: object) -> None:
    message = {"event": "media", "sequenceNumber": number, "media": {"timestamp": number, "payload": ""}}
    assert decode(message) == messages.Media(7, "inbound", 7, b"")


@pytest.mark.parametrize("number", [None, True, -1, 1.5, "x", "", "٣", 10**20, "9" * 30, [], {}])
def test_nonsense_counters_count_as_absent(number: object) -> None:
    message = {"event": "media", "sequenceNumber": number, "media": {"timestamp": number, "payload": "/w=="}}
    assert decode(message) == messages.Media(None, "inbound", None, b"\xff")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "not_json"),
        ("hello", "not_json"),
        ("[" * 60_000, "not_json"),
        ('{"event": ' + "9" * 5000 + "}", "no_event"),
        ("[]", "not_object"),
        ("3", "not_object"),
        ("null", "not_object"),
        ("{}", "no_event"),
        ('{"event": 3}', "no_event"),
        ('{"sequenceNumber": "3", "media": {"timestamp": "20", "payload": "////"}}', "no_event"),
        ('{"event": "video"}', "unknown_event"),
        ('{"event": "media"}', "bad_media"),
        ('{"event": "media", "media": []}', "bad_media"),
        ('{"event": "media", "media": {"payload": 3}}', "bad_media"),
        ('{"event": "media", "media": {"payload": "////", "track": []}}', "bad_media"),
        ('{"event": "media", "media": {"payload": "a"}}', "bad_base64"),
        ('{"event": "media", "media": {"payload": "\\ud800==="}}', "bad_base64"),
        ('{"event": "start"}', "bad_start"),
        ('{"event": "dtmf", "dtmf": {"digit": "12"}}', "bad_dtmf"),
    ],
)
def test_what_cannot_be_used_says_why(text: str, code: str) -> None:
    message = messages.parse_message(text)
    assert isinstance(message, StreamFault)
    assert message.code == code
    assert message.message


@pytest.mark.parametrize(
    "changes",
    [
        {"streamSid": 3},
        {"callSid": None},
        {"callSid": "CA{1}"},
        {"callSid": "a:b"},
        {"callSid": "x" * 65},
        {"tracks": ["video"]},
        {"tracks": ["inbound", "inbound"]},
        {"tracks": "inbound"},
    ],
)
def test_a_start_that_cannot_be_keyed_is_bad(changes: dict[str, Any]) -> None:
    message = decode(start_message(**changes))
    assert isinstance(message, StreamFault)
    assert message.code == "bad_start"


def test_parameters_are_fit_for_json_and_logs() -> None:
    raw = json.dumps(start_message(customParameters={"a\n": "x\ud800\x1b[2J", "n": 3}))
    start = messages.parse_message(raw)
    assert isinstance(start, messages.Start)
    assert start.parameters == {"a ": "x? [2J"}
    json.dumps(start.parameters, ensure_ascii=False).encode()


SCRIPTS = [
    "می\u200cخواهم",
    "ශ්\u200dරී",
    "\U0001f468\u200d\U0001f4bb",
    "a\u00adb",
    "a\u00a0b",
    "山田\u3000太郎",
    "\u200fשלום",
    "\ufeffx",
]


@pytest.mark.parametrize("value", SCRIPTS)
def test_parameters_keep_what_scripts_need(value: str) -> None:
    start = messages.parse_message(json.dumps(start_message(customParameters={value: value})))
    assert isinstance(start, messages.Start)
    assert start.parameters == {value: value}


@pytest.mark.parametrize("value", ["\n", "\x00", "\x7f", "\x85", "\u2028", "\u202e", "\u2066"])
def test_parameters_lose_what_breaks_or_turns_lines(value: str) -> None:
    start = messages.parse_message(json.dumps(start_message(customParameters={"a": f"x{value}y"})))
    assert isinstance(start, messages.Start)
    assert start.parameters == {"a": "x y"}


def test_a_number_without_end_is_no_number_and_no_broken_message() -> None:
    number = "9" * 5000
    media = f'{{"event":"media","sequenceNumber":{number},"media":{{"timestamp":{number},"payload":"AAAA"}}}}'
    assert messages.parse_message(media) == messages.Media(None, "inbound", None, bytes(3))
    assert messages.parse_message(f'{{"event":"stop","sequenceNumber":{number}}}') == messages.Stop(None)


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert messages.parse_message(text) is not None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
MEDIA_KEYS = ("event", "sequenceNumber", "streamSid", "media", "track", "chunk", "timestamp", "payload")
START_KEYS = ("start", "callSid", "tracks", "mediaFormat", "encoding", "sampleRate", "channels", "customParameters")
keys = st.sampled_from((*MEDIA_KEYS, *START_KEYS, "stop", "dtmf", "mark", "digit"))
events = st.sampled_from(["connected", "start", "media", "dtmf", "mark", "stop", "clear", ""])
bodies = st.dictionaries(keys, json_values | st.dictionaries(keys, json_values, max_size=6), max_size=6)


@given(events, bodies)
def test_no_object_raises(event: str, body: dict[str, Any]) -> None:
    assert messages.parse_message(json.dumps({**body, "event": event})) is not None


def test_parameters_beyond_the_99th_are_told_and_a_ticket_is_kept() -> None:
    given = {f"p{n}": "x" for n in range(150)} | {"ticket": "t"}
    start = decode(start_message(customParameters=given))
    assert isinstance(start, messages.Start)
    assert start.parameters == {f"p{n}": "x" for n in range(99)} | {"ticket": "t"}
    assert [fault.code for fault in start.faults] == ["too_many_parameters"]
    assert "151 parameters" in start.faults[0].message
    start = decode(start_message(customParameters={f"p{n}": "x" for n in range(98)} | {"ticket": "t"}))
    assert isinstance(start, messages.Start)
    assert len(start.parameters) == 99
    assert start.faults == ()
