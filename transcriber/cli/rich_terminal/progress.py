"""What moves while something takes time, on stderr; nothing of it stays."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text


@contextmanager
def spinner() -> Iterator[Callable[[str], None]]:
    """Gives what is told the current step."""
    with Console(stderr=True).status("") as status:
        yield lambda text: status.update(Text(text))


@contextmanager
def step_bars() -> Iterator[Callable[[str, float], None]]:
    """A bar for each step; gives what is told a step and its share done, 0 to 1."""
    columns = (TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks = {}

        def report(step: str, share: float) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=1.0)
            bars.update(tasks[step], completed=share)

        yield report


class DownloadBar:
    """One file's bytes, drawn from the first `update` to `stop`."""

    def __init__(self) -> None:
        columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bar.start()
        self._task = self._bar.add_task("", total=None)

    def update(self, done: int, total: int | None) -> None:
        """Bytes."""
        self._bar.update(self._task, completed=done, total=total)

    def stop(self) -> None:
        """Take it away."""
        self._bar.stop()
