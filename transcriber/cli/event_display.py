"""Where the events of live calls go: a display redrawn in place, plain lines of finals, or JSON lines."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from transcriber.cli.caption_lines import Event, final_line, note
from transcriber.cli.terminal_text import draws, json_line, print_status

if TYPE_CHECKING:
    from transcriber.cli.rich_terminal.captions import Captions

NOT_DRAWN = "captions come when they are final; to see them grow: pip install rich"


class EventDisplay:
    """Draws on a terminal and prints finals elsewhere; `as_json`: every event as one line of JSON, everywhere.

    `sides`: inbound left, outbound right, where the terminal is wide. `ids`: lines begin with their call's short id.
    `footer` is asked for the line below the partials at each redrawing. A terminal without rich gets plain lines.
    """

    def __init__(
        self, *, as_json: bool, sides: bool = False, ids: bool = False, footer: Callable[[], str] | None = None
    ) -> None:
        self._as_json = as_json
        self._ids = ids
        self._is_terminal = sys.stdout.isatty()
        drawn = not as_json and draws(sys.stdout)
        self._captions = _drawn(sides=sides, ids=ids, footer=footer) if drawn else None

    @contextmanager
    def live(self) -> Iterator[None]:
        """Redraw partials and footer in place while inside, if there is a terminal; nothing of them stays."""
        if self._captions is not None:
            with self._captions.live():
                yield
            return
        if self._is_terminal and not self._as_json:
            print_status(NOT_DRAWN)
        yield

    def show(self, event: Event) -> None:
        """Take in one event."""
        if self._as_json:
            print(json_line(event), flush=True)
        elif self._captions is not None:
            self._captions.show(event)
        elif event.get("type") == "final":
            print(final_line(event, ids=self._ids), flush=True)
        elif self._is_terminal and (sentence := note(event)):
            print(sentence, flush=True)


def _drawn(*, sides: bool, ids: bool, footer: Callable[[], str] | None) -> "Captions":
    from transcriber.cli.rich_terminal.captions import Captions

    return Captions(sides=sides, ids=ids, footer=footer)
