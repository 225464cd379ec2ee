"""Opens what a server keeps its calls in: Redis, and the outbox before it; and says how both are."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

from transcriber.errors import ConfigError, StoreError
from transcriber.observability.metrics import Metrics
from transcriber.outbox.lease_monitor import LeaseMonitor
from transcriber.outbox.outbox import Outbox
from transcriber.outbox.server_directory import ServerDirectory
from transcriber.outbox.set_aside_audio import SetAsideAudio
from transcriber.runtime.background import run_in_background
from transcriber.settings.definition import Settings
from transcriber.store.redis.aof_rewrite import AofRewrite
from transcriber.store.redis.private_server import PrivateRedis
from transcriber.store.redis_store import RedisStore, open_store

SETTLE_S = 5.0
"""How long a start may wait for what an earlier server left; the rest follows in the background."""
Report = Callable[[], Awaitable[Mapping[str, str]]]


async def open_storage(
    settings: Settings, metrics: Metrics, stack: AsyncExitStack, say: Callable[[str], None]
) -> tuple[RedisStore, Outbox]:
    """The store, and the way to it; both go with the stack. Raises ConfigError (data directory), StoreError."""
    folder = await _folder(settings)
    try:
        store = await _open_store(settings, folder.owner, metrics, stack, say)
    except BaseException:
        await asyncio.to_thread(folder.release)
        raise
    run_in_background(stack, store.repairs.run(), name="repairing the indexes")
    return store, await _open_outbox(folder, store, metrics, stack, say, journals=settings.journal)


async def _folder(settings: Settings) -> ServerDirectory:
    root = settings.data_dir / "outbox"
    try:
        return await asyncio.to_thread(ServerDirectory.make, root)
    except OSError as error:
        raise ConfigError(f"{root} cannot be used ({error.strerror}): set another TRANSCRIBER_DATA_DIR") from None


async def _open_store(
    settings: Settings, owner: str, metrics: Metrics, stack: AsyncExitStack, say: Callable[[str], None]
) -> RedisStore:
    """The store on the Redis of the settings, or on one of our own."""
    url, directory = settings.redis_url, settings.data_dir / "redis"
    if not url:
        url = (await stack.enter_async_context(PrivateRedis(directory))).url
        say(f"redis: a private server of our own, data in {directory}")
    store = await stack.enter_async_context(
        await open_store(url, prefix=settings.redis_prefix, ttl_s=settings.history_ttl_s, owner=owner, metrics=metrics)
    )
    if settings.redis_url:
        await _look_around(store, stack, say)
    else:
        erasure = AofRewrite(store.client, directory, metrics)
        store.deletions.around.append(erasure.expected)
        stack.push_async_callback(erasure.leave)
        run_in_background(stack, erasure.run(), name="erasing what was deleted")
    return store


async def _look_around(store: RedisStore, stack: AsyncExitStack, say: Callable[[str], None]) -> None:
    """On a Redis that is not our own: may we do what we need, and are we alone? Raises ConfigError when we are not."""
    for trial in (store.check_rights, store.beacon.light, store.check_database):
        try:
            await trial()
        except StoreError as error:  # it may be granted while we run; until then /readyz says it
            say(f"redis: WARNING: {error}")
    run_in_background(stack, store.beacon.run(), name="showing the database")


async def _open_outbox(
    folder: ServerDirectory,
    store: RedisStore,
    metrics: Metrics,
    stack: AsyncExitStack,
    say: Callable[[str], None],
    *,
    journals: bool,
) -> Outbox:
    """The way to the store; what dead servers have left there is settled first, as far as that is quick."""
    outbox = Outbox(folder, store.event_log, metrics, journals=journals)
    stack.push_async_callback(outbox.aclose)
    await outbox.adopt()
    remains = SetAsideAudio(folder.path.parent, store.deletions)
    store.deletions.after.append(remains.look)
    run_in_background(stack, remains.run(), name="clearing away what was set aside")
    if not await outbox.settled(within_s=SETTLE_S):
        say(f"outbox: {outbox.waiting} events of an earlier server are still being delivered")
    run_in_background(stack, LeaseMonitor(outbox, store.event_log).run(), name="keeping the leases")
    return outbox


def degradations(store: RedisStore, outbox: Outbox) -> Report:
    """Redis takes no writes, by real ones and by one of ours: calls are taken and heard, and what they say waits."""

    async def wrong() -> Mapping[str, str]:
        refusal = await store.refusal() or outbox.trouble
        return ({"redis": refusal} if refusal else {}) | dict(store.condition.problems)

    return wrong


def readiness(settings: Settings, store: RedisStore, outbox: Outbox) -> Report:
    """Without Redis calls can be taken as long as the outbox takes events and nobody has to show a ticket."""

    async def wrong() -> Mapping[str, str]:
        if outbox.fails:
            return {"outbox": "full"}
        if settings.require_ticket and (refusal := await store.refusal()):
            return {"redis": refusal}
        return {}

    return wrong
