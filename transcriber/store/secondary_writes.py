"""How the secondary writes fare: what is refused beside the record is told, once, and loses nothing of it."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from transcriber.errors import StoreError
from transcriber.observability.metrics import Metrics
from transcriber.store.redis.errors import failure_reason

log = logging.getLogger(__name__)
INDEXES = ("calls", "live", "search", "leases", "unindexed")
SAID_EVERY_S = 60.0


@dataclass(slots=True)
class _Trouble:
    reason: str
    failures: int
    said_s: float


class SecondaryWrites:
    """By part whether it works: `channels` (publishing), `expiry` (times to live), `subscription`, and each of INDEXES.

    Belongs to the event loop's thread.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._troubles: dict[str, _Trouble] = {}

    @property
    def problems(self) -> Mapping[str, str]:
        """The parts in trouble, each with one word why."""
        return {part: trouble.reason for part, trouble in self._troubles.items()}

    def answered(self, part: str, refused: str) -> None:
        """What a script was told about a part of it that it can do without, '' = nothing."""
        if refused:
            if part == "channels":
                self._metrics.publish_failures.inc()
            self.failed(part, StoreError(f"Redis refuses it: {refused}", reason=failure_reason(refused)))
        elif self._troubles:
            self.succeeded(part)

    def failed(self, part: str, error: StoreError) -> None:
        """Said at first and then once a minute; failures of indexes are counted."""
        if part in INDEXES:
            self._metrics.index_failures.labels(index=part).inc()
        now_s = time.monotonic()
        trouble = self._troubles.setdefault(part, _Trouble(error.reason, 0, now_s - SAID_EVERY_S))
        trouble.reason = error.reason
        trouble.failures += 1
        if now_s - trouble.said_s >= SAID_EVERY_S:
            trouble.said_s = now_s
            log.warning("%s: %s; what is kept is not touched (%d times so far)", part, error, trouble.failures)

    def succeeded(self, part: str) -> None:
        """It does again."""
        if trouble := self._troubles.pop(part, None):
            log.info("%s: works again, after %d failures", part, trouble.failures)
