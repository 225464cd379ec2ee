"""Text and speakers that look like markup, cues, line ends or nothing, through every export and the live feed."""

import csv
import html
import io
import re
from typing import Any

import pytest
import srt
import webvtt

from tests.web.conftest import WebClient
from tests.web.test_call_events import reading
from transcriber.events.captions import FORMATS

HOSTILE = [
    "<script>alert(1)</script>",
    "</v><v agent>not me",
    "a --> b",
    "00:00:00.000 --> 00:00:09.000",
    "one\n\ntwo",
    "one\r\n\r\n2\r\n00:00:01,000 --> 00:00:02,000\r\nthree",
    "WEBVTT",
    "NOTE this",
    "STYLE ::cue { color: red }",
    "\ufeffBOM first",
    "and inside \ufeff it",
    "nul \x00 byte",
    "escape \x1b[31m red",
    "line\u2028separator\u2029here\x85too",
    "&lt;&amp;amp;&#60;",
    '"; DROP TABLE',
    "=HYPERLINK(A1)",
    "x\u202ey",
    "{\\an8}{\\i1}",
]


async def export(web_client: WebClient, name: str) -> str:
    answer = await (await web_client()).get("/v1/calls/CA1/transcript", params={"format": name})
    assert answer.status == 200
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    body: str = (await answer.read()).decode()
    return body


def words(text: str) -> list[str]:
    """What must survive: control characters and line ends part words; BOM and the like belong to them."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]", " ", text).split()


@pytest.fixture
async def hostile_call(begin_call: Any) -> None:
    call = await begin_call("CA1")
    for at, text in enumerate(HOSTILE):
        await call.say(text, start_ms=at * 10_000)
    await call.end()


@pytest.mark.usefixtures("hostile_call")
async def test_vtt_and_srt_read_back_in_other_parsers(web_client: WebClient) -> None:
    cues = webvtt.WebVTT.from_string(await export(web_client, "vtt")).captions
    spoken = [html.unescape(re.sub(r"^<v [^>]*>", "", cue.raw_text)) for cue in cues]
    assert [words(text) for text in spoken] == [words(text) for text in HOSTILE]
    assert all(cue.raw_text.count("<") == 1 for cue in cues), "the voice tag and no other"
    subtitles = list(srt.parse(await export(web_client, "srt")))
    assert [cue.index for cue in subtitles] == list(range(1, len(HOSTILE) + 1))
    assert [words(cue.content.partition(": ")[2]) for cue in subtitles] == [
        words(text.replace("-->", "->")) for text in HOSTILE
    ]


@pytest.mark.usefixtures("hostile_call")
async def test_txt_csv_and_json_keep_it_apart(web_client: WebClient) -> None:
    lines = (await export(web_client, "txt")).splitlines()
    assert [words(line.partition(": ")[2]) for line in lines] == [words(text) for text in HOSTILE]
    rows = list(csv.DictReader(io.StringIO(await export(web_client, "csv"), newline="")))
    assert [words(row["text"].removeprefix("'")) for row in rows] == [words(text) for text in HOSTILE]
    answer = await (await web_client()).get("/v1/calls/CA1/transcript")
    assert [each["text"] for each in (await answer.json())["utterances"]] == HOSTILE


@pytest.mark.usefixtures("hostile_call")
async def test_the_live_feed_keeps_it_in_its_event(web_client: WebClient) -> None:
    sent = await (await reading(await web_client())).rest()
    assert [each.data["text"] for each in sent if each.kind == "final"] == HOSTILE


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("speaker", [*HOSTILE, "\ud800 half a pair"])
def test_a_hostile_speaker(name: str, speaker: str) -> None:
    text = "".join(FORMATS[name]([{"type": "final", "seq": 1, "speaker": speaker, "text": "hello", "start_ms": 0}]))
    text.encode()
    count = {
        "txt": lambda: len(text.splitlines()),
        "vtt": lambda: len(webvtt.WebVTT.from_string(text).captions),
        "srt": lambda: len(list(srt.parse(text))),
        "csv": lambda: len(list(csv.DictReader(io.StringIO(text, newline="")))),
    }
    assert count[name]() == 1
    assert "hello" in text
