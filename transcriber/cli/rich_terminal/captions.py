"""Captions on a terminal: finals as lines, partials redrawn in place, one colour per speaker. Text is never markup."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from transcriber.cli.caption_lines import Event, note, number, short_id, speaker, text
from transcriber.cli.terminal_text import clock_time

COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "red")
TWO_SIDED_WIDTH = 100
REFRESH_HZ = 12


class Captions:
    """Draws events as they come. `sides`: inbound left and outbound right, where the terminal is wide enough.

    `ids`: each line begins with its call's short id. `footer` is asked for the line below the partials.
    """

    def __init__(
        self,
        console: Console | None = None,
        *,
        sides: bool = False,
        ids: bool = False,
        footer: Callable[[], str] | None = None,
    ) -> None:
        self._console = console or Console()
        self._ids = ids
        self._sides = sides and self._console.width >= TWO_SIDED_WIDTH
        self._footer = footer
        self._colours: dict[str, str] = {}
        self._partials: dict[tuple[str, str, str], Event] = {}
        self._live: Live | None = None

    @contextmanager
    def live(self) -> Iterator[None]:
        """Redraw partials and footer in place while inside; nothing of them stays."""
        with Live(
            get_renderable=self.unfinished, console=self._console, refresh_per_second=REFRESH_HZ, transient=True
        ) as self._live:
            yield
        self._live = None

    def show(self, event: Event) -> None:
        """Take in one event: print it if it is a line of its own."""
        key = (text(event, "call_sid"), text(event, "stream_sid"), text(event, "track"))
        match event.get("type"):
            case "partial":
                self._partials[key] = event
            case "final":
                self._partials.pop(key, None)
                self._print(self._line(event, Text(text(event, "text"), style=self._colour(event))))
                if self._live is not None:
                    # Printing redraws what was there before, with the partial that the final has just replaced.
                    self._live.refresh()
            case "stream.stopped" | "call.ended":
                for other in [k for k in self._partials if k[0] == key[0] and key[1] in ("", k[1])]:
                    del self._partials[other]
        if sentence := note(event):
            self._print(Text.assemble(self._id(event), sentence, style="dim"))

    def unfinished(self) -> RenderableType:
        """The unfinished utterances (words that stay firm, words that may still change dim) and the footer."""
        lines = [self._line(event, self._words(event)) for event in list(self._partials.values())]
        if self._footer is not None:
            lines.append(Text(self._footer(), style="dim", no_wrap=True, overflow="ellipsis"))
        return Group(*lines)

    def _words(self, event: Event) -> Text:
        words = text(event, "text").split()
        stable = max(0, number(event, "stable"))
        shown = Text(" ".join(words[:stable]), style=self._colour(event))
        if words[stable:]:
            shown.append(" " * bool(stable) + " ".join(words[stable:]), style="dim")
        return shown

    def _line(self, event: Event, words: Text) -> RenderableType:
        colour = self._colour(event)
        head = Text.assemble(
            self._id(event),
            (clock_time(number(event, "start_ms")), "dim"),
            "  ",
            (f"{speaker(event):<7}", f"bold {colour}"),
            "  ",
        )
        line = head + words
        if not self._sides:
            return line
        margin = self._console.width // 3
        if event.get("track") == "outbound":
            line.justify = "right"
            return Padding(line, (0, 0, 0, margin))
        return Padding(line, (0, margin, 0, 0))

    def _id(self, event: Event) -> tuple[str, str]:
        return (short_id(event) if self._ids else "", "dim")

    def _colour(self, event: Event) -> str:
        return self._colours.setdefault(speaker(event), COLOURS[len(self._colours) % len(COLOURS)])

    def _print(self, line: RenderableType) -> None:
        self._console.print(line, highlight=False)
