"""Captions on a terminal: finals as lines, partials redrawn in place, one colour per speaker. Text is never markup."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from transcriber.cli.terminal_text import clock_time, printable

COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "red")
TWO_SIDED_WIDTH = 100
ID_LENGTH = 8
Event = Mapping[str, Any]


class Captions:
    """Draws events as they come. `sides`: inbound left and outbound right, where the terminal is wide enough.

    `ids`: each line begins with its call's short id. Partials are only kept; `partials` is what a live display shows.
    """

    def __init__(self, console: Console, *, sides: bool = False, ids: bool = False) -> None:
        self._console = console
        self._ids = ids
        self._sides = sides and console.is_terminal and console.width >= TWO_SIDED_WIDTH
        self._colours: dict[str, str] = {}
        self._partials: dict[tuple[str, str, str], Event] = {}

    def show(self, event: Event) -> None:
        """Take in one event: print it if it is a line of its own."""
        key = (_text(event, "call_sid"), _text(event, "stream_sid"), _text(event, "track"))
        match event.get("type"):
            case "partial":
                self._partials[key] = event
            case "final":
                self._partials.pop(key, None)
                self._print(self._line(event, Text(_text(event, "text"), style=self._colour(event))))
            case "stream.stopped" | "call.ended":
                for other in [k for k in self._partials if k[0] == key[0] and key[1] in ("", k[1])]:
                    del self._partials[other]
        if (note := _note(event)) and self._console.is_terminal:
            self._print(Text.assemble(self._id(event), note, style="dim"))

    def partials(self) -> RenderableType:
        """The unfinished utterances: words that stay firm, words that may still change dim."""
        return Group(*(self._line(event, self._unfinished(event)) for event in list(self._partials.values())))

    def _unfinished(self, event: Event) -> Text:
        words = _text(event, "text").split()
        stable = max(0, _number(event, "stable"))
        text = Text(" ".join(words[:stable]), style=self._colour(event))
        if words[stable:]:
            text.append(" " * bool(stable) + " ".join(words[stable:]), style="dim")
        return text

    def _line(self, event: Event, text: Text) -> RenderableType:
        colour = self._colour(event)
        head = Text.assemble(
            self._id(event),
            (clock_time(_number(event, "start_ms")), "dim"),
            "  ",
            (f"{_speaker(event):<7}", f"bold {colour}"),
            "  ",
        )
        line = head + text
        if not self._sides:
            return line
        margin = self._console.width // 3
        if event.get("track") == "outbound":
            line.justify = "right"
            return Padding(line, (0, 0, 0, margin))
        return Padding(line, (0, margin, 0, 0))

    def _id(self, event: Event) -> tuple[str, str]:
        return (f"{_text(event, 'call_sid')[:ID_LENGTH]}  " if self._ids else "", "dim")

    def _colour(self, event: Event) -> str:
        return self._colours.setdefault(_speaker(event), COLOURS[len(self._colours) % len(COLOURS)])

    def _print(self, line: RenderableType) -> None:
        # Wrapping is for eyes; a pipe gets one line a final.
        self._console.print(line, highlight=False, soft_wrap=not self._console.is_terminal)


def _note(event: Event) -> str:
    """A sentence for the lifecycle events people want to see."""
    match event.get("type"):
        case "dtmf":
            return f"{clock_time(_number(event, 'start_ms'))}  key {_text(event, 'digit')}"
        case "gap":
            missing_ms = _number(event, "to_ms") - _number(event, "from_ms")
            start = clock_time(_number(event, "from_ms"))
            return f"{start}  {missing_ms} ms of audio missing ({_text(event, 'track')})"
        case "stream.error":
            return f"stream error: {_text(event, 'message')}"
        case "call.ended":
            return f"call ended ({_text(event, 'reason')})"
    return ""


def _speaker(event: Event) -> str:
    return _text(event, "speaker") or _text(event, "track")


def _text(event: Event, name: str) -> str:
    return printable(str(event.get(name, "")))


def _number(event: Event, name: str) -> int:
    value = event.get(name, 0)
    return int(value) if isinstance(value, int) else 0
