"""A bound for log lines that strangers or outages can cause: so many a minute of each kind; the others are counted."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MAX_LINES = 10
WINDOW_S = 60.0
REPORT_INTERVAL_S = 1.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Kind:
    level: int
    ends_at: float
    lines: int = 0
    left_out: int = 0


class LogRateLimiter:
    """`LINES` a window of each kind. A kind is a name in the code, never part of what a stranger sends.

    Metrics count what the log leaves out. Belongs to the event loop's thread, but for `limit_loggers`.
    """

    def __init__(
        self, *, lines: int = MAX_LINES, window_s: float = WINDOW_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lines = lines
        self._window_s = window_s
        self._clock = clock
        self._kinds: dict[str, _Kind] = {}

    def log(
        self,
        logger: logging.Logger,
        level: int,
        kind: str,
        message: str,
        *args: object,
        exc_info: BaseException | None = None,
    ) -> None:
        """Write the line, or count it."""
        if logger.isEnabledFor(level) and self._admits(kind, level):
            logger.log(level, message, *args, exc_info=exc_info)

    def forget(self, kind: str) -> None:
        """What was wrong is over: the next line of the kind is written, and what was left out is not reported."""
        self._kinds.pop(kind, None)

    def report(self, *, at_end: bool = False) -> None:
        """Log what was left out of the windows that are over; `at_end`: of all."""
        now = self._clock()
        for name, kind in list(self._kinds.items()):
            if at_end or kind.ends_at <= now:
                del self._kinds[name]
                if kind.left_out:
                    log.log(kind.level, "%d more lines of this kind left out: %s", kind.left_out, name)

    async def watch(self) -> None:
        """Report in time, as long as the server runs."""
        try:
            while True:
                await asyncio.sleep(REPORT_INTERVAL_S)
                self.report()
        finally:
            self.report(at_end=True)

    @contextmanager
    def limit_loggers(self, *names: str) -> Iterator[None]:
        """Inside, lines of these loggers (of libraries) count as well: each logger is a kind."""
        loggers = [logging.getLogger(name) for name in names]
        for logger in loggers:
            logger.addFilter(self._admits_record)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(self._admits_record)

    def _admits_record(self, record: logging.LogRecord) -> bool:
        return self._admits(record.name, record.levelno)

    def _admits(self, name: str, level: int) -> bool:
        now = self._clock()
        kind = self._kinds.get(name)
        if kind is not None and kind.ends_at <= now:
            self.report()
            kind = None
        if kind is None:
            kind = self._kinds[name] = _Kind(level, now + self._window_s)
        kind.level = max(kind.level, level)
        if kind.lines < self._lines:
            kind.lines += 1
            return True
        kind.left_out += 1
        return False
