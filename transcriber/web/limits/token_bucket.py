"""How often a name may do something: `per_minute` at once at most, and as many again a minute. Keeps no clock."""

from collections import OrderedDict
from collections.abc import Hashable

WINDOW_S = 60.0
MAX_NAMES = 10_000
"""Names at most; those charged longest ago are forgotten first, in their favour."""


class TokenBuckets:
    """A bucket per name. `per_minute` 0: without a limit. `now`: seconds of any clock that does not go back."""

    def __init__(self, per_minute: int, *, most_names: int = MAX_NAMES) -> None:
        self.per_minute = per_minute
        self._cost_s = WINDOW_S / per_minute if per_minute else 0.0
        self._most_names = most_names
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def wait_s(self, name: Hashable, now: float) -> float:
        """Seconds until the name may go on; 0.0: now."""
        if not self.per_minute:
            return 0.0
        spent_s = max(0.0, self._full_at.get(name, now) - now)
        return max(0.0, round(spent_s + self._cost_s - WINDOW_S, 6))

    def charge(self, name: Hashable, now: float) -> float:
        """Take a token. Answers 0.0, or when there is none the seconds until there is one; then none is taken."""
        wait_s = self.wait_s(name, now)
        if self.per_minute and not wait_s:
            self._full_at[name] = max(now, self._full_at.get(name, now)) + self._cost_s
            self._full_at.move_to_end(name)
            self._forget(now)
        return wait_s

    def debit(self, name: Hashable, cost: int, now: float) -> None:
        """Take `cost` tokens more. It may overdraw the bucket, by as much again and no further."""
        if self.per_minute and cost > 0:
            full_at = max(now, self._full_at.get(name, now)) + cost * self._cost_s
            self._full_at[name] = min(full_at, now + 2 * WINDOW_S)
            self._full_at.move_to_end(name)
            self._forget(now)

    def _forget(self, now: float) -> None:
        while self._full_at:
            oldest = next(iter(self._full_at))
            if len(self._full_at) <= self._most_names and self._full_at[oldest] > now:
                return
            del self._full_at[oldest]
