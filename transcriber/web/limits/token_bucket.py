"""How often a name may do something: `per_minute` at once at most, and as many again a minute. Keeps no clock."""

from collections import OrderedDict
from collections.abc import Hashable

WINDOW_S = 60.0
REMEMBERED = 10_000
"""Names at most; those charged longest ago are forgotten first, in their favour."""


class TokenBuckets:
    """A budget per name. `per_minute` 0: without a limit. `now`: seconds of any clock that does not go back."""

    def __init__(self, per_minute: int, *, remembered: int = REMEMBERED) -> None:
        self.per_minute = per_minute
        self._cost_s = WINDOW_S / per_minute if per_minute else 0.0
        self._remembered = remembered
        self._whole_at: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._whole_at)

    def wait_s(self, name: Hashable, now: float) -> float:
        """Seconds until the name may go on; 0.0: now."""
        if not self.per_minute:
            return 0.0
        spent_s = max(0.0, self._whole_at.get(name, now) - now)
        return max(0.0, round(spent_s + self._cost_s - WINDOW_S, 6))

    def charge(self, name: Hashable, now: float) -> float:
        """The same, and 0.0 costs one of the budget; being refused costs nothing."""
        wait_s = self.wait_s(name, now)
        if self.per_minute and not wait_s:
            self._whole_at[name] = max(now, self._whole_at.get(name, now)) + self._cost_s
            self._whole_at.move_to_end(name)
            self._forget(now)
        return wait_s

    def debit(self, name: Hashable, cost: int, now: float) -> None:
        """What was done was dearer than one by `cost`. It may overdraw the budget, by as much again and no further."""
        if self.per_minute and cost > 0:
            whole_at = max(now, self._whole_at.get(name, now)) + cost * self._cost_s
            self._whole_at[name] = min(whole_at, now + 2 * WINDOW_S)
            self._whole_at.move_to_end(name)
            self._forget(now)

    def _forget(self, now: float) -> None:
        while self._whole_at:
            oldest = next(iter(self._whole_at))
            if len(self._whole_at) <= self._remembered and self._whole_at[oldest] > now:
                return
            del self._whole_at[oldest]
