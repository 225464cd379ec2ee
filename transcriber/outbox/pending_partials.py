"""A stream's partials on their way to Redis: of each track only the newest waits, and none is tried twice."""

from collections.abc import Callable

from transcriber.errors import StoreError
from transcriber.events.schema import Partial
from transcriber.observability.metrics import Metrics
from transcriber.store.event_log import RedisEventLog


class PendingPartials:
    """One stream's."""

    def __init__(self, event_log: RedisEventLog, metrics: Metrics) -> None:
        self._event_log = event_log
        self._metrics = metrics
        self._newest: dict[str, Partial] = {}

    def __bool__(self) -> bool:
        return bool(self._newest)

    def put(self, partial: Partial) -> None:
        """To be published, in place of what waits of its track."""
        self._newest[partial.track] = partial

    def withdraw(self, track: str) -> None:
        """The track's final is there."""
        self._newest.pop(track, None)

    def clear(self) -> None:
        """Nothing is to be published."""
        self._newest.clear()

    async def publish(self, on_call_clock: Callable[[Partial], Partial]) -> None:
        """The one that waits longest, as `placed` puts it on the call's clock; a failure is counted."""
        newest = self._newest.pop(next(iter(self._newest)))
        try:
            await self._event_log.publish(on_call_clock(newest))
            self._metrics.partials.inc()
        except StoreError:
            self._metrics.publish_failures.inc()
