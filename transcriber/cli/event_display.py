"""Where the events of live calls go: a display redrawn in place, plain lines of finals, or JSON lines."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from transcriber.cli.caption_display import Captions, Event
from transcriber.cli.terminal_text import json_line

REFRESH_HZ = 12


class EventDisplay:
    """Draws on a terminal and prints finals elsewhere; `as_json`: every event as one line of JSON, everywhere.

    `sides` and `ids` as for Captions. `footer` is asked for the line below the partials at each redrawing.
    """

    def __init__(
        self, *, as_json: bool, sides: bool = False, ids: bool = False, footer: Callable[[], Text] | None = None
    ) -> None:
        self._as_json = as_json
        self._console = Console()
        self._captions = Captions(self._console, sides=sides, ids=ids)
        self._footer = footer
        self._live: Live | None = None

    @contextmanager
    def live(self) -> Iterator[None]:
        """Redraw partials and footer in place while inside, if there is a terminal; nothing of them stays."""
        if self._as_json or not self._console.is_terminal:
            yield
            return
        with Live(
            get_renderable=self._unfinished, console=self._console, refresh_per_second=REFRESH_HZ, transient=True
        ) as self._live:
            yield
        self._live = None

    def show(self, event: Event) -> None:
        """Take in one event."""
        if self._as_json:
            print(json_line(event), flush=True)
            return
        self._captions.show(event)
        if self._live is not None and event.get("type") == "final":
            # Printing redraws what was there before, with the partial that the final has just replaced.
            self._live.refresh()

    def _unfinished(self) -> RenderableType:
        partials = self._captions.partials()
        return Group(partials, self._footer()) if self._footer else partials
