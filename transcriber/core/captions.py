"""A call's finals as a conversation: plain text, WebVTT, SRT and CSV. Reading and filtering them lives elsewhere."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite
from typing import Any
from unicodedata import east_asian_width

from transcriber.core.transcript import Word

LINE_WIDTH = 42
LINES = 2
CUE_MS = 7_000
PAUSE_MS = 1_500
COLUMNS = ("seq", "track", "speaker", "utterance", "start_ms", "end_ms", "confidence", "text")

Finals = Iterable[Mapping[str, Any]]

_CONTROL = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_ARROW = re.compile(r"-{2,}>")
_FORMULA = re.compile(r"[\s\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*[=+\-@＝＋－＠]")
"""A spreadsheet may pass over what cannot be seen."""


@dataclass(frozen=True, slots=True)
class _Said:
    """One final, every field readable: what is missing or of a strange type in the event got a sensible value."""

    speaker: str
    text: str
    start_ms: int
    end_ms: int
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class _Cue:
    start_ms: int
    end_ms: int
    speaker: str
    lines: tuple[str, ...]


def ordered(finals: Finals) -> list[Mapping[str, Any]]:
    """The finals of all tracks as one conversation: by start time, then by number."""
    return sorted(finals, key=lambda final: (_whole(final.get("start_ms")), _whole(final.get("seq"))))


def txt(finals: Finals) -> str:
    """One line an utterance: `[00:12.340] caller: my number is four two`."""
    return "".join(f"[{_stamp(said.start_ms)}] {said.speaker}: {said.text}\n" for said in _spoken(finals))


def vtt(finals: Finals) -> str:
    """WebVTT with one voice tag a cue; long utterances become several cues."""
    blocks = ["WEBVTT\n"]
    for cue in _cues(finals):
        times = f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}"
        body = "\n".join(escape(line, quote=False) for line in cue.lines)
        blocks.append(f"{times}\n<v {escape(cue.speaker, quote=False)}>{body}\n")
    return "\n".join(blocks)


def srt(finals: Finals) -> str:
    """SubRip with `Speaker: ` before each cue. The format has no escapes, so an arrow in the text is shortened."""
    blocks = []
    for number, cue in enumerate(_cues(finals, named=True), 1):
        times = f"{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}"
        body = _ARROW.sub("->", "\n".join((f"{cue.speaker}: {cue.lines[0]}", *cue.lines[1:])))
        blocks.append(f"{number}\n{times}\n{body}\n")
    return "\n".join(blocks)


def csv_table(finals: Finals) -> str:
    """RFC 4180 with a header line. A text that a spreadsheet would run as a formula gets an apostrophe before it."""
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(COLUMNS)
    table.writerows([_cell(final.get(column)) for column in COLUMNS] for final in ordered(finals))
    return out.getvalue()


FORMATS: Mapping[str, Callable[[Finals], str]] = {"txt": txt, "vtt": vtt, "srt": srt, "csv": csv_table}


def _spoken(finals: Finals) -> Iterator[_Said]:
    for final in ordered(finals):
        text = _clean(final.get("text"))
        if text:
            start_ms = max(0, _whole(final.get("start_ms")))
            end_ms = max(start_ms + 1, _whole(final.get("end_ms")))
            speaker = _clean(final.get("speaker")) or _clean(final.get("track")) or "speaker"
            yield _Said(speaker, text, start_ms, end_ms, _words(final.get("words"), text, (start_ms, end_ms)))


def _words(given: object, text: str, span: tuple[int, int]) -> tuple[Word, ...]:
    """The words of `text` with their times: the event's own where they fit the text, else spread over the span."""
    tokens = text.split()
    entries = [entry for entry in given if isinstance(entry, Mapping)] if isinstance(given, Sequence) else []
    if [_clean(entry.get("word")) for entry in entries] == tokens:
        starts = [max(0, _whole(entry.get("start_ms"), span[0])) for entry in entries]
        ends = [max(0, _whole(entry.get("end_ms"), span[1])) for entry in entries]
    else:
        length, done, edges = sum(map(len, tokens)), 0, [span[0]]
        for token in tokens:
            done += len(token)
            edges.append(span[0] + (span[1] - span[0]) * done // length)
        starts, ends = edges[:-1], edges[1:]
    return tuple(Word(token, start, end, 0.0) for token, start, end in zip(tokens, starts, ends, strict=True))


def _cues(finals: Finals, *, named: bool = False) -> list[_Cue]:
    found = []
    for said in _spoken(finals):
        indent = _width(f"{said.speaker}: ") if named else 0
        for page in _pages(said.words, indent):
            start_ms = page[0].start_ms
            end_ms = max(start_ms + 1, page[-1].end_ms)
            found.append(_Cue(start_ms, end_ms, said.speaker, tuple(_wrapped(page, indent))))
    # WebVTT wants cues by start time, and utterances of two tracks overlap.
    return sorted(found, key=lambda cue: cue.start_ms)


def _pages(words: Sequence[Word], indent: int) -> Iterator[list[Word]]:
    """The words in portions that are read at one glance."""
    page: list[Word] = []
    for word in words:
        if page and (_apart(page, word) or len(_wrapped([*page, word], indent)) > LINES):
            yield page
            page = []
        page.append(word)
    if page:
        yield page


def _apart(page: Sequence[Word], word: Word) -> bool:
    return word.end_ms - page[0].start_ms > CUE_MS or word.start_ms - page[-1].end_ms > PAUSE_MS


def _wrapped(words: Sequence[Word], indent: int) -> list[str]:
    """Lines of at most LINE_WIDTH columns (the first shorter by `indent`); a word is never cut."""
    lines: list[str] = []
    room = 0
    for word in words:
        width = _width(word.word)
        if lines and width + 1 <= room:
            lines[-1] += f" {word.word}"
            room -= width + 1
        else:
            room = (LINE_WIDTH if lines else max(LINE_WIDTH // 2, LINE_WIDTH - indent)) - width
            lines.append(word.word)
    return lines


def _width(text: str) -> int:
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def _clean(value: object) -> str:
    """One line without control characters and lone surrogates: nothing in it can end a cue or break the encoding."""
    return _CONTROL.sub(" ", value).strip(" ") if isinstance(value, str) else ""


def _cell(value: object) -> str | int | float:
    if isinstance(value, (int, float)):
        return value
    text = _clean(value)
    return f"'{text}" if _FORMULA.match(text) else text


def _whole(value: object, default: int = 0) -> int:
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, float) and isfinite(value) else default


def _clock(ms: int, mark: str) -> str:
    seconds, rest = divmod(ms, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02d}:{minute:02d}:{second:02d}{mark}{rest:03d}"


def _stamp(ms: int) -> str:
    return _clock(ms, ".").removeprefix("00:")
