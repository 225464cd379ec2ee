"""Captions: what other programs' parsers read back, with hostile text, overlaps and old events."""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import pytest
import srt as srt_package
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from transcriber.events.captions import COLUMNS, FORMATS
from transcriber.events.conversation import Conversation

WORD_MS = 300


def conversation(events: Iterable[Mapping[str, Any]]) -> Conversation:
    found = Conversation()
    for event in events:
        found.add(json.dumps({"type": "final"} | dict(event)))
    return found


def ordered(events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return list(conversation(events).finals())


def written(kind: str, events: Iterable[Mapping[str, Any]]) -> str:
    return "".join(FORMATS[kind](conversation(events).finals()))


def txt(events: Iterable[Mapping[str, Any]]) -> str:
    return written("txt", events)


def vtt(events: Iterable[Mapping[str, Any]]) -> str:
    return written("vtt", events)


def srt(events: Iterable[Mapping[str, Any]]) -> str:
    return written("srt", events)


def csv_table(events: Iterable[Mapping[str, Any]]) -> str:
    return written("csv", events)


def final(text: str, *, start_ms: int = 0, speaker: str = "caller", seq: int = 1, **more: Any) -> dict[str, Any]:
    tokens = text.split()
    words = [
        {"word": token, "start_ms": start_ms + WORD_MS * i, "end_ms": start_ms + WORD_MS * (i + 1), "confidence": 1.0}
        for i, token in enumerate(tokens)
    ]
    end_ms = start_ms + WORD_MS * len(tokens)
    return {
        "type": "final",
        "seq": seq,
        "track": "inbound",
        "speaker": speaker,
        "utterance": 1,
        "text": text,
        "start_ms": start_ms,
        "end_ms": end_ms,
        "confidence": 0.5,
        "words": words,
        **more,
    }


def read_vtt(text: str) -> list[webvtt.Caption]:
    return list(webvtt.WebVTT.from_string(text).captions)


def ms(stamp: str) -> int:
    hours, minutes, seconds = stamp.split(":")
    return (int(hours) * 60 + int(minutes)) * 60_000 + round(float(seconds) * 1000)


hostile = st.text(
    st.one_of(st.characters(), st.sampled_from("<>&-\n\r\t\u2028\x00\"':,0123456789 =+@가")), max_size=200
)
any_final = st.builds(
    lambda text, start_ms, speaker, seq, words: final(text, start_ms=start_ms, speaker=speaker, seq=seq) | words,
    hostile,
    st.integers(0, 10**8),
    hostile,
    st.integers(1, 10**6),
    st.sampled_from([{}, {"words": []}, {"words": None}, {"words": [{"word": "no"}, 3]}, {"end_ms": 0}]),
)
many = st.lists(any_final, max_size=6)


def test_txt_is_one_conversation_by_start_time() -> None:
    events = [
        final("it is here", start_ms=3_600_005, speaker="agent", seq=1),
        final("my number is", start_ms=12_340, seq=3),
        final("hello", start_ms=12_340, speaker="agent", seq=2),
    ]
    assert txt(events) == (
        "[00:12.340] agent: hello\n[00:12.340] caller: my number is\n[01:00:00.005] agent: it is here\n"
    )


def test_vtt_as_written() -> None:
    text = vtt([final("a < b & c --> d", start_ms=1000, speaker="R&D <x>")])
    assert text == ("WEBVTT\n\n00:00:01.000 --> 00:00:03.100\n<v R&amp;D &lt;x&gt;>a &lt; b &amp; c --&gt; d\n")


def test_srt_as_written() -> None:
    text = srt([final("a --> b", start_ms=1000), final("yes", start_ms=5000, speaker="agent")])
    assert text == (
        "1\n00:00:01,000 --> 00:00:01,900\ncaller: a -> b\n\n2\n00:00:05,000 --> 00:00:05,300\nagent: yes\n"
    )


def test_a_long_final_becomes_cues_of_two_lines_by_word_times() -> None:
    text = " ".join(f"word{i:03d}" for i in range(60))
    cues = read_vtt(vtt([final(text, start_ms=1000)]))
    assert " ".join(" ".join(cue.lines) for cue in cues).replace("<v caller>", "") == text
    assert len(cues) > 5
    for cue in cues:
        lines = [line.replace("<v caller>", "") for line in cue.lines]
        assert len(lines) <= 2
        assert all(len(line) <= 42 for line in lines)
        first = int(lines[0].split()[0][4:])
        assert ms(cue.start) == 1000 + WORD_MS * first
    assert [cue.start for cue in cues[1:]] == [cue.end for cue in cues[:-1]]


def test_srt_lines_leave_room_for_the_speaker() -> None:
    cues = list(srt_package.parse(srt([final("seven letters " * 20)])))
    assert all(line.startswith("caller: ") for line in (cue.content.split("\n")[0] for cue in cues))
    assert all(len(line) <= 42 for cue in cues for line in cue.content.split("\n"))


def test_wide_letters_take_two_columns() -> None:
    cues = read_vtt(vtt([final("전화번호는 " * 12)]))
    assert max(len(line.replace("<v caller>", "")) for cue in cues for line in cue.lines) <= 21


def test_a_pause_ends_a_cue() -> None:
    event = final("one two")
    event["words"][1] |= {"start_ms": 9000, "end_ms": 9300}
    assert [(cue.start, cue.end) for cue in read_vtt(vtt([event]))] == [
        ("00:00:00.000", "00:00:00.300"),
        ("00:00:09.000", "00:00:09.300"),
    ]


def test_words_that_do_not_fit_the_text_are_not_trusted() -> None:
    event = final("one two", start_ms=1000) | {"text": "something else altogether"}
    (cue,) = read_vtt(vtt([event]))
    assert (cue.start, cue.end) == ("00:00:01.000", "00:00:01.600")


def test_overlapping_tracks_stay_in_start_order() -> None:
    long, short = final("word " * 40), final("yes", start_ms=2000, speaker="agent", seq=2)
    starts = [cue.start for cue in read_vtt(vtt([long, short]))]
    assert starts == sorted(starts)
    assert "00:00:02.000" in starts


@pytest.mark.parametrize("kind", FORMATS)
def test_an_empty_call(kind: str) -> None:
    empty = {"txt": "", "vtt": "WEBVTT\n", "srt": "", "csv": ",".join(COLUMNS) + "\r\n"}
    assert written(kind, []) == empty[kind]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("event", [{}, {"type": "final", "text": "bare"}, {"text": 5, "start_ms": "x", "words": "no"}])
def test_events_of_another_version_are_read(kind: str, event: Mapping[str, Any]) -> None:
    text = written(kind, [event, final("whole")])
    assert "whole" in text
    assert ("bare" in text) is ("bare" in event.values())


def test_csv_guards_against_formulas() -> None:
    events = [final(text, seq=i) for i, text in enumerate(["=1+1", "+1", "-1", "@a", "＝1", "a=1"])]
    rows = list(csv.DictReader(io.StringIO(csv_table(events))))
    assert [row["text"] for row in rows] == ["'=1+1", "'+1", "'-1", "'@a", "'＝1", "a=1"]


@given(many)
def test_csv_reads_back(events: list[dict[str, Any]]) -> None:
    rows = list(csv.reader(io.StringIO(csv_table(events), newline="")))
    assert rows[0] == list(COLUMNS)
    assert [int(row[0]) for row in rows[1:]] == [event["seq"] for event in ordered(events)]
    assert [int(row[4]) for row in rows[1:]] == [event["start_ms"] for event in ordered(events)]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


@given(many)
def test_vtt_reads_back(events: list[dict[str, Any]]) -> None:
    text = vtt(events)
    text.encode()
    cues = read_vtt(text)
    assert len(cues) == text.count(" --> ") == text.count("<v ")
    assert [ms(cue.start) for cue in cues] == sorted(ms(cue.start) for cue in cues)
    assert all(ms(cue.end) > ms(cue.start) for cue in cues)
    spoken = {word for event in events for word in _tokens(event["text"])}
    assert {word for cue in cues for word in re.sub(r"^<v [^>]*>", "", cue.raw_text).split()} == {
        word.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for word in spoken
    }


@given(many)
def test_srt_reads_back(events: list[dict[str, Any]]) -> None:
    text = srt(events)
    text.encode()
    cues = list(srt_package.parse(text))
    assert [cue.index for cue in cues] == list(range(1, len(cues) + 1))
    assert all(cue.end > cue.start for cue in cues)
    spoken = [word for event in ordered(events) for word in _tokens(event["text"])]
    assert bool(cues) is bool(spoken)


@given(many)
def test_finals_stand_by_start_time_then_by_number(events: list[dict[str, Any]]) -> None:
    found = [(event["start_ms"], event["seq"]) for event in ordered(events)]
    assert found == sorted((event["start_ms"], event["seq"]) for event in events)


def test_a_conversation_takes_one_track_and_only_finals() -> None:
    found = Conversation(track="inbound")
    nan = '{"type":"final","track":"inbound","seq":3,"start_ms":5,"confidence":NaN}'
    for text in (json.dumps(final("x", track="outbound")), json.dumps(final("y")), nan, '["final"]', '{"final"'):
        found.add(text)
    assert [event["seq"] for event in found.finals()] == [1, 3]


def test_a_cue_is_out_as_soon_as_none_can_come_before_it() -> None:
    taken: list[int] = []

    def finals() -> Iterable[Mapping[str, Any]]:
        for number in range(1000):
            taken.append(number)
            yield final("a few words", start_ms=number * 1000)

    cues = FORMATS["vtt"](finals())
    assert "".join(islice(cues, 3)).startswith("WEBVTT\n\n00:00:00.000")
    assert len(taken) < 5


@given(many)
def test_txt_is_one_line_an_utterance(events: list[dict[str, Any]]) -> None:
    lines = txt(events).splitlines()
    assert len(lines) == sum(bool(_tokens(event["text"])) for event in events)
    assert all(re.match(r"\[(\d\d+:)?\d\d:\d\d\.\d{3}\] ", line) for line in lines)


def _tokens(text: str) -> list[str]:
    return re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", " ", text).split()


@pytest.mark.parametrize("speaker", ["می\u200cخواهم", "山田\u3000太郎", "\U0001f468\u200d\U0001f4bb", "Dr.\u00a0No"])
@pytest.mark.parametrize("name", FORMATS)
def test_a_speaker_keeps_what_the_script_needs(name: str, speaker: str) -> None:
    told = FORMATS[name]([{"type": "final", "seq": 1, "speaker": speaker, "text": "hello", "start_ms": 0}])
    assert speaker in "".join(told)


@pytest.mark.parametrize("before", ["", " ", "\u00a0", "\u3000", "\u200b", "\u00ad", "\ufeff", "\u200e\u2066", "\t"])
def test_a_formula_is_none_behind_what_cannot_be_seen(before: str) -> None:
    table = csv_table([{"type": "final", "seq": 1, "speaker": before + "=1+1", "text": before + "@x", "start_ms": 0}])
    [row] = csv.DictReader(io.StringIO(table, newline=""))
    assert (row["speaker"][0], row["text"][0]) == ("'", "'")
