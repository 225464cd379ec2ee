"""Drawing: hostile text, firm and dim words, sides, one line a final in a pipe."""

import io
from typing import Any

import pytest
from rich.console import Console

from tests.recording_server import final
from transcriber.cli.caption_lines import final_line
from transcriber.cli.event_display import EventDisplay
from transcriber.cli.rich_terminal.captions import Captions
from transcriber.cli.terminal_text import clock_time, json_line, printable

HOSTILE = "a\x1b[2Jb\r\nc \x9b31m [bold red]d[/] \u202ee\u2028 :smile: \x07"


def screen(*, width: int = 80) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=True, width=width, color_system="standard"), out


def drawn(captions: Captions, console: Console) -> str:
    with console.capture() as capture:
        console.print(captions.unfinished())
    return capture.get()


def partial(text: str, *, stable: Any = 0, track: str = "inbound") -> dict[str, Any]:
    return final(text, track=track) | {"type": "partial", "stable": stable}


def test_control_characters_become_spaces() -> None:
    assert printable(HOSTILE) == "a [2Jb  c  31m [bold red]d[/]  e  :smile:  "
    assert printable("نمی\u200cخواهم naïve 안녕") == "نمی\u200cخواهم naïve 안녕"


def test_json_lines_escape_what_a_terminal_would_obey() -> None:
    assert json_line({"t": "é\x9b\u202e\U000e0001"}) == '{"t":"é\\u009b\\u202e\\udb40\\udc01"}'


def test_clock() -> None:
    assert [clock_time(ms) for ms in (-5, 0, 65_999, 3_605_000)] == ["00:00", "00:00", "01:05", "1:00:05"]


def test_a_pipe_gets_one_plain_line_for_each_final_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    display = EventDisplay(as_json=False)
    with display.live():
        display.show({"type": "call.started", "call_sid": "CA1"})
        display.show(partial("my num"))
        display.show(final("my number is four two and it goes on and on and on", start_ms=12_340))
        display.show({"type": "dtmf", "digit": "5", "start_ms": 1})
        display.show({"type": "call.ended", "call_sid": "CA1", "reason": "stop"})
    out, err = capsys.readouterr()
    assert out == "00:12  caller   my number is four two and it goes on and on and on\n"
    assert err == ""


def test_hostile_text_is_drawn_as_text() -> None:
    console, out = screen()
    captions = Captions(console)
    captions.show(final(HOSTILE, speaker="[red]\x1b]0;title\x07"))
    captions.show({"type": "stream.error", "message": HOSTILE})
    shown = out.getvalue() + drawn(captions, console)
    assert "[bold red]d[/]" in shown
    assert ":smile:" in shown
    for evil in ("\x1b[2J", "\x1b]", "\x9b", "\u202e", "\x07", "\r"):
        assert evil not in shown


def test_events_of_strange_shape_do_no_harm() -> None:
    console, _ = screen()
    captions = Captions(console, sides=True, ids=True)
    strange: list[dict[str, Any]] = [
        {},
        {"type": "final"},
        {"type": ["final"]},
        {"type": "final", "text": None, "start_ms": "soon", "speaker": {}},
        {"type": "partial", "stable": -4, "text": 5},
        {"type": "gap", "from_ms": None},
    ]
    for event in strange:
        captions.show(event)
    assert "5" in drawn(captions, console)


def test_stable_words_are_firm_and_the_rest_is_dim() -> None:
    console, _ = screen()
    captions = Captions(console)
    captions.show(partial("my number is", stable=2))
    assert "\x1b[36mmy number\x1b[0m\x1b[2;36m is\x1b[0m" in drawn(captions, console).replace(
        "\x1b[2m is", "\x1b[2;36m is"
    )


def test_a_final_takes_its_partial_away_and_so_does_the_end() -> None:
    console, out = screen()
    captions = Captions(console)
    captions.show(partial("my num"))
    captions.show(partial("hello", track="outbound"))
    captions.show(final("my number"))
    assert "my num" not in drawn(captions, console)
    assert "hello" in drawn(captions, console)
    captions.show({"type": "call.ended", "call_sid": "CA1", "reason": "stop"})
    assert drawn(captions, console).strip() == ""
    assert "call ended (stop)" in out.getvalue()


def test_speakers_keep_their_colours() -> None:
    console, out = screen()
    captions = Captions(console)
    for track in ("inbound", "outbound", "inbound"):
        captions.show(final("x", track=track))
    first, second, third = out.getvalue().splitlines()
    assert first == third != second
    assert "\x1b[36mx" in first
    assert "\x1b[33mx" in second


def test_two_sides_on_wide_terminals_only() -> None:
    console, out = screen(width=120)
    captions = Captions(console, sides=True)
    captions.show(final("left"))
    captions.show(final("right", track="outbound"))
    left, right = out.getvalue().splitlines()
    assert left.rstrip().endswith("left\x1b[0m") or "left" in left[:60]
    assert right.startswith(" " * 60)
    narrow, out = screen(width=80)
    Captions(narrow, sides=True).show(final("right", track="outbound"))
    assert not out.getvalue().startswith(" ")


def test_many_calls_are_told_apart() -> None:
    event = final("hello") | {"call_sid": "CA0123456789"}
    assert final_line(event, ids=True) == "CA012345  00:00  caller   hello"
    console, out = screen()
    Captions(console, ids=True).show(event)
    assert out.getvalue().startswith("\x1b[2mCA012345  \x1b[0m")


def test_hostile_text_is_plain_in_lines() -> None:
    line = final_line(final(HOSTILE, speaker="\x1b]0;title\x07"), ids=False)
    assert line.isprintable()
    assert "[bold red]d[/]" in line
