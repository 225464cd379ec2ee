"""Transcripts as plain text, WebVTT, SRT and CSV.

Every format takes finals in the order of time (`conversation.py`) and yields a piece for an utterance or a cue, so that
whoever writes a long call can pause anywhere.
"""

import csv
import heapq
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from unicodedata import east_asian_width

from transcriber.events.conversation import whole

LINE_COLUMNS = 42
MAX_LINES = 2
MAX_CUE_MS = 7_000
MAX_PAUSE_MS = 1_500
COLUMNS = ("seq", "track", "speaker", "utterance", "start_ms", "end_ms", "confidence", "text")

Finals = Iterable[Mapping[str, Any]]

_CONTROL = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_ARROW = re.compile(r"-{2,}>")
_FORMULA = re.compile(r"[\s\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*[=+\-@＝＋－＠]")
"""A spreadsheet may pass over what cannot be seen."""


Timed = tuple[str, int, int]
"""A word, its start and its end in milliseconds."""


@dataclass(slots=True)
class _Utterance:
    """One final, every field readable: what is missing or of a strange type in the event got a sensible value."""

    speaker: str
    text: str
    start_ms: int
    words: Sequence[Timed]


@dataclass(slots=True)
class _Cue:
    start_ms: int
    end_ms: int
    speaker: str
    lines: Sequence[str]


def txt(finals: Finals) -> Iterator[str]:
    """One line an utterance: `[00:12.340] caller: my number is four two`."""
    for utterance in _utterances(finals):
        yield f"[{_stamp(utterance.start_ms)}] {utterance.speaker}: {utterance.text}\n"


def vtt(finals: Finals) -> Iterator[str]:
    """WebVTT with one voice tag a cue; long utterances become several cues."""
    yield "WEBVTT\n"
    for cue in _cues(finals):
        times = f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}"
        body = "\n".join(escape(line, quote=False) for line in cue.lines)
        yield f"\n{times}\n<v {escape(cue.speaker, quote=False)}>{body}\n"


def srt(finals: Finals) -> Iterator[str]:
    """SubRip with `Speaker: ` before each cue. The format has no escapes, so an arrow in the text is shortened."""
    for number, cue in enumerate(_cues(finals, named=True), 1):
        times = f"{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}"
        body = _ARROW.sub("->", "\n".join((f"{cue.speaker}: {cue.lines[0]}", *cue.lines[1:])))
        yield f"{'' if number == 1 else chr(10)}{number}\n{times}\n{body}\n"


def csv_table(finals: Finals) -> Iterator[str]:
    """RFC 4180 with a header line. A text that a spreadsheet would run as a formula gets an apostrophe before it."""
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(COLUMNS)
    for final in finals:
        table.writerow([_cell(final.get(column)) for column in COLUMNS])
        yield out.getvalue()
        out.seek(0)
        out.truncate()
    yield out.getvalue()


FORMATS: Mapping[str, Callable[[Finals], Iterator[str]]] = {"txt": txt, "vtt": vtt, "srt": srt, "csv": csv_table}


def _utterances(finals: Finals) -> Iterator[_Utterance]:
    for final in finals:
        text = _clean(final.get("text"))
        if text:
            start_ms = max(0, whole(final.get("start_ms")))
            end_ms = max(start_ms + 1, whole(final.get("end_ms")))
            speaker = _clean(final.get("speaker")) or _clean(final.get("track")) or "speaker"
            yield _Utterance(speaker, text, start_ms, _words(final.get("words"), text, (start_ms, end_ms)))


def _words(given: object, text: str, span: tuple[int, int]) -> Sequence[Timed]:
    """The words of `text` with their times, none before the span.

    The times are the event's own where they fit the text; else they are spread over the span.
    """
    tokens = text.split()
    entries = [entry for entry in given if isinstance(entry, Mapping)] if isinstance(given, Sequence) else []
    spelled = [entry.get("word") for entry in entries]
    if spelled == tokens or list(map(_clean, spelled)) == tokens:
        starts = [max(span[0], whole(entry.get("start_ms"), span[0])) for entry in entries]
        ends = [max(0, whole(entry.get("end_ms"), span[1])) for entry in entries]
    else:
        length, done, edges = sum(map(len, tokens)), 0, [span[0]]
        for token in tokens:
            done += len(token)
            edges.append(span[0] + (span[1] - span[0]) * done // length)
        starts, ends = edges[:-1], edges[1:]
    return list(zip(tokens, starts, ends, strict=True))


def _cues(finals: Finals, *, named: bool = False) -> Iterator[_Cue]:
    """Cues by start time, as WebVTT wants them, though utterances of two tracks overlap.

    A cue waits until no later utterance can begin before it.
    """
    waiting: list[tuple[int, int, _Cue]] = []
    made = 0
    for utterance in _utterances(finals):
        while waiting and waiting[0][0] <= utterance.start_ms:
            yield heapq.heappop(waiting)[2]
        indent = _width(f"{utterance.speaker}: ") if named else 0
        for page, lines in _pages(utterance.words, indent):
            start_ms = page[0][1]
            made += 1
            cue = _Cue(start_ms, max(start_ms + 1, page[-1][2]), utterance.speaker, lines)
            heapq.heappush(waiting, (start_ms, made, cue))
    while waiting:
        yield heapq.heappop(waiting)[2]


def _pages(words: Sequence[Timed], indent: int) -> Iterator[tuple[list[Timed], list[str]]]:
    """The words in cues of MAX_LINES lines, each with its lines.

    A line has LINE_COLUMNS columns at most, the first is shorter by `indent`; a word is never cut.
    """
    page: list[Timed] = []
    lines: list[str] = []
    room = 0
    for word in words:
        width = _width(word[0])
        fits = bool(lines) and width + 1 <= room
        if page and (_apart(page, word) or (not fits and len(lines) == MAX_LINES)):
            yield page, lines
            page, lines, fits = [], [], False
        if fits:
            lines[-1] += f" {word[0]}"
            room -= width + 1
        else:
            room = (LINE_COLUMNS if lines else max(LINE_COLUMNS // 2, LINE_COLUMNS - indent)) - width
            lines.append(word[0])
        page.append(word)
    if page:
        yield page, lines


def _apart(page: Sequence[Timed], word: Timed) -> bool:
    return word[2] - page[0][1] > MAX_CUE_MS or word[1] - page[-1][2] > MAX_PAUSE_MS


def _width(text: str) -> int:
    return len(text) if text.isascii() else sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def _clean(value: object) -> str:
    """One line without control characters and lone surrogates: nothing in it can end a cue or break the encoding."""
    return _CONTROL.sub(" ", value).strip() if isinstance(value, str) else ""


def _cell(value: object) -> str | int | float:
    if isinstance(value, (int, float)):
        return value
    text = _clean(value)
    return f"'{text}" if _FORMULA.match(text) else text


def _clock(ms: int, mark: str) -> str:
    seconds, rest = divmod(ms, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02d}:{minute:02d}:{second:02d}{mark}{rest:03d}"


def _stamp(ms: int) -> str:
    return _clock(ms, ".").removeprefix("00:")
