"""Opens what a server keeps its calls in: Redis, and the outbox that writes to it."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from transcriber.errors import ConfigError, StoreError
from transcriber.observability.metrics import Metrics
from transcriber.outbox.lease_monitor import LeaseMonitor
from transcriber.outbox.outbox import Outbox
from transcriber.outbox.server_directory import ServerDirectory
from transcriber.outbox.set_aside_audio import SetAsideAudio
from transcriber.runtime.background import run_in_background
from transcriber.server.tuning import Tuning
from transcriber.settings.definition import Settings
from transcriber.store.redis.aof_rewrite import AofRewrite
from transcriber.store.redis.private_server import PrivateRedis
from transcriber.store.redis_store import RedisStore, open_store

DELIVER_S = 5.0
"""How long a start may wait until what an earlier server left is delivered; the rest follows in the background."""


async def open_storage(
    settings: Settings, metrics: Metrics, stack: AsyncExitStack, report: Callable[[str], None], tuning: Tuning
) -> tuple[RedisStore, Outbox]:
    """The store and the outbox before it; both close with the stack. Raises ConfigError, StoreError."""
    directory = await _make_server_directory(settings)
    try:
        store = await _open_store(settings, directory.owner, metrics, stack, report, quiet_s=tuning.erase_quiet_s)
    except BaseException:
        await asyncio.to_thread(directory.release)
        raise
    run_in_background(stack, store.index_repair.run(interval_s=tuning.index_repair_s), name="repairing the indexes")
    return store, await _open_outbox(directory, store, metrics, stack, report, settings)


async def _make_server_directory(settings: Settings) -> ServerDirectory:
    root = settings.data_dir / "outbox"
    try:
        return await asyncio.to_thread(ServerDirectory.create, root)
    except OSError as error:
        raise ConfigError(f"{root} cannot be used ({error.strerror}): set another TRANSCRIBER_DATA_DIR") from None


async def _open_store(
    settings: Settings,
    owner: str,
    metrics: Metrics,
    stack: AsyncExitStack,
    report: Callable[[str], None],
    *,
    quiet_s: float,
) -> RedisStore:
    """The store on the Redis of the settings, or on one of our own."""
    url, redis_directory = settings.redis_url, settings.data_dir / "redis"
    if not url:
        url = (await stack.enter_async_context(PrivateRedis(redis_directory))).url
        report(f"redis: a private server of our own, data in {redis_directory}")
    store = await stack.enter_async_context(
        await open_store(
            url,
            prefix=settings.redis_prefix,
            ttl_s=settings.history_ttl_s,
            owner=owner,
            metrics=metrics,
            sharded=settings.pubsub == "sharded",
        )
    )
    if settings.redis_url:
        await _check_foreign_redis(store, stack, report)
    else:
        await store.check_sharded()
        aof_rewrite = AofRewrite(store.client, redis_directory, metrics, quiet_s=quiet_s)
        store.deletions.around.append(aof_rewrite.around_deletion)
        stack.push_async_callback(aof_rewrite.finish)
        run_in_background(stack, aof_rewrite.run(), name="erasing what was deleted")
    return store


async def _check_foreign_redis(store: RedisStore, stack: AsyncExitStack, report: Callable[[str], None]) -> None:
    """On a Redis that is not our own: may we do what we need, and are we its only user? Raises ConfigError if not."""
    for check in (store.check_sharded, store.check_acl, store.database_guard.announce, store.check_database):
        try:
            await check()
        except StoreError as error:  # it may be granted while we run; until then /readyz says it
            report(f"redis: WARNING: {error}")
    run_in_background(stack, store.database_guard.run(), name="showing the database")


async def _open_outbox(
    directory: ServerDirectory,
    store: RedisStore,
    metrics: Metrics,
    stack: AsyncExitStack,
    report: Callable[[str], None],
    settings: Settings,
) -> Outbox:
    """The outbox; what dead servers have left in theirs is delivered first, as far as that is quick."""
    outbox = Outbox(directory, store.event_log, metrics, journals=settings.journal, transcribes=not settings.no_media)
    stack.push_async_callback(outbox.aclose)
    await outbox.takeover.begin()
    set_aside = SetAsideAudio(directory.path.parent, store.deletions)
    store.deletions.after.append(set_aside.remove_due)
    run_in_background(stack, set_aside.run(), name="clearing away what was set aside")
    if not await outbox.takeover.settled(within_s=DELIVER_S):
        report(f"outbox: {outbox.waiting} events of an earlier server are still being delivered")
    monitor = LeaseMonitor(outbox, store.event_log, store.lease_audit)
    run_in_background(stack, monitor.run(), name="keeping the leases")
    return outbox
