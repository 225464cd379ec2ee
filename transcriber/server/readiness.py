"""What a server says of itself when asked whether it can take calls: what keeps it from that, and what is degraded."""

from collections.abc import Awaitable, Callable, Mapping

from transcriber.outbox.outbox import Outbox
from transcriber.settings.definition import Settings
from transcriber.store.redis_store import RedisStore

Problems = Callable[[], Awaitable[Mapping[str, str]]]
"""What is wrong now: part -> reason; empty when all is well."""


def readiness(settings: Settings, store: RedisStore, outbox: Outbox) -> Problems:
    """Without Redis calls can be taken as long as the outbox takes events and nobody has to show a ticket."""

    async def problems() -> Mapping[str, str]:
        if outbox.is_blocked:
            return {"outbox": "full"}
        if settings.require_ticket and (refusal := await store.write_failure()):
            return {"redis": refusal}
        return {}

    return problems


def degradations(store: RedisStore, outbox: Outbox) -> Problems:
    """Redis takes no writes, by real ones or by one of ours: calls are taken and transcribed, and their events wait."""

    async def problems() -> Mapping[str, str]:
        refusal = await store.write_failure() or outbox.failure
        return ({"redis": refusal} if refusal else {}) | dict(store.secondary_writes.problems)

    return problems
