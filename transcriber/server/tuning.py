"""Times and limits of a server that no setting names; tests and benchmarks change them."""

from dataclasses import dataclass, field

from transcriber.calls.session_manager import CALLBACK_GRACE_S
from transcriber.store.index_repair import REPAIR_INTERVAL_S
from transcriber.store.redis.aof_rewrite import QUIET_S
from transcriber.web.limits.client_limits import ClientLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """All times in seconds."""

    client_limits: ClientLimits = field(default_factory=ClientLimits)
    callback_grace_s: float = CALLBACK_GRACE_S
    """See `SessionTimeouts`."""
    index_repair_s: float = REPAIR_INTERVAL_S
    """Between two repairs of the indexes."""
    erase_quiet_s: float = QUIET_S
    """Without a deletion for so long, the private Redis's file is rewritten without what was deleted."""
