"""Events that one stream had to drop: counted, and logged without a line for each."""

import logging

from transcriber.observability.metrics import Metrics

log = logging.getLogger(__name__)


class DroppedEvents:
    """One stream's."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._count = 0

    def add(self, count: int, *, last: bool = False) -> None:
        """So many events more are lost; logged the first time, and when it is the last."""
        self._count += count
        self._metrics.events_lost.inc(count)
        if self._count == count or last:
            log.error("%d events of this stream are lost so far: over the bound, or after its end", self._count)
