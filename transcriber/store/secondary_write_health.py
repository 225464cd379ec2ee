"""Whether secondary writes work: indexes, publishing, times to live. Their failures lose nothing of the record.

They are logged at first and then once a minute, and named in the state of the server.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from transcriber.errors import StoreError
from transcriber.observability.log_rate_limit import LogRateLimiter
from transcriber.observability.metrics import Metrics
from transcriber.store.redis.errors import failure_reason

log = logging.getLogger(__name__)
INDEXES = ("calls", "live", "search", "leases", "unindexed")
PARTS = ("channels", "subscription", "expiry", *INDEXES)
"""`channels`: publishing; `expiry`: times to live."""


@dataclass(slots=True)
class _Problem:
    reason: str
    failures: int = 0


class SecondaryWriteHealth:
    """By part, see PARTS.

    Belongs to the event loop's thread.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._problems_by_part: dict[str, _Problem] = {}
        self._log_limiter = LogRateLimiter(lines=1)

    @property
    def problems(self) -> Mapping[str, str]:
        """The parts that do not work, each with one word why."""
        return {part: problem.reason for part, problem in self._problems_by_part.items()}

    def answered(self, part: str, refused: str) -> None:
        """What Redis said against a part of a script that it can do without, '' = nothing."""
        if refused:
            if part == "channels":
                self._metrics.publish_failures.inc()
            self.failed(part, StoreError(f"Redis refuses it: {refused}", reason=failure_reason(refused)))
        elif self._problems_by_part:
            self.succeeded(part)

    def failed(self, part: str, error: StoreError) -> None:
        """A write of the part was refused or did not arrive; failures of indexes are counted."""
        if part in INDEXES:
            self._metrics.index_failures.labels(index=part).inc()
        problem = self._problems_by_part.setdefault(part, _Problem(error.reason))
        problem.reason = error.reason
        problem.failures += 1
        message = "%s: %s; what is kept is not touched (%d times so far)"
        self._log_limiter.log(log, logging.WARNING, part, message, part, error, problem.failures)

    def succeeded(self, part: str) -> None:
        """A write of the part was taken."""
        if problem := self._problems_by_part.pop(part, None):
            self._log_limiter.forget(part)
            log.info("%s: works again, after %d failures", part, problem.failures)
