"""Takes what was deleted or has expired out of the private redis-server's append-only file: the file is written anew.

Deletions are gathered: the file is rewritten when there was none for QUIET_S, at the latest MAX_WAIT_S after the
first, and once a day where keys have expired; after the rewriting of a large history the pause is longer. A file beside
it (MARK_FILE) says that something is to be done, for the next start should this process die.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from transcriber.errors import CallIsLive, CallNotFound, StoreError
from transcriber.observability.metrics import Metrics
from transcriber.store.redis.client import Client
from transcriber.store.redis.errors import redis_failures

log = logging.getLogger(__name__)
MARK_FILE = "erasure-pending"
QUIET_S = 30.0
MAX_WAIT_S = 600.0
REST_PER_REWRITE = 20
"""So many times as long as a rewriting took, nothing is rewritten: a large history is not written anew all the time."""
EXPIRY_CHECK_S = 86_400.0
RETRY_S = 60.0
FINISH_S = 10.0
"""How long the end of a server may take for it."""
POLL_INTERVAL_S = 0.2


class AofRewrite:
    """`directory`: where the server keeps its data. All methods belong to the event loop's thread."""

    def __init__(
        self,
        client: Client,
        directory: Path,
        metrics: Metrics,
        *,
        quiet_s: float = QUIET_S,
        retry_s: float = RETRY_S,
        expiry_check_s: float = EXPIRY_CHECK_S,
    ) -> None:
        self._quiet_s = quiet_s
        self._retry_s = retry_s
        self._expiry_check_s = expiry_check_s
        self._client = client
        self._directory = directory
        self._mark = directory / MARK_FILE
        self._metrics = metrics
        self._deletion_noted = asyncio.Event()
        self._pending = 1 if self._mark.exists() else 0
        self._under_way = 0
        """Deletions that have begun and not ended: a rewriting that begins now may come too early for them."""
        self._expired = 0
        """How many keys had expired when the file was rewritten last, as far as the running private Redis knows."""
        self._check_expiry_at = asyncio.get_running_loop().time()
        """When that is compared the next time."""
        self._rest_until = 0.0
        metrics.erasures_pending.set_function(lambda: self._pending)

    @asynccontextmanager
    async def around_deletion(self) -> AsyncIterator[None]:
        """Around each deletion of a call. Raises StoreError if it cannot be remembered."""
        try:
            await asyncio.to_thread(self._mark.touch, 0o600)
        except OSError as error:
            raise StoreError(f"cannot note that a call is deleted: {error}") from error
        self._under_way += 1
        done = True
        try:
            yield
        except (CallIsLive, CallNotFound):
            done = False
            raise
        finally:
            self._under_way -= 1
            self._pending += done
            self._deletion_noted.set()
            await self._unmark()

    async def run(self) -> None:
        """Rewrite the file whenever it is time, for ever."""
        while True:
            try:
                await (self._until_quiet() if self._pending else self._until_tomorrow())
                await self.rewrite()
            except StoreError as error:
                self._metrics.erasure_failures.inc()
                log.error("what was deleted is still in the private Redis's file; trying again: %s", error)
                await asyncio.sleep(self._retry_s)

    async def finish(self) -> None:
        """What waits is done now, if that is quick; else by the next start."""
        if self._pending:
            try:
                async with asyncio.timeout(FINISH_S):
                    await self.rewrite()
            except (StoreError, TimeoutError) as error:
                self._metrics.erasure_failures.inc()
                log.error("what was deleted leaves the private Redis's file with the next start: %s", error)

    async def rewrite(self) -> None:
        """Have the file written anew, and wait for it. Raises StoreError."""
        with redis_failures("cannot rewrite the file"):
            first: Any = await self._rewriting(None)
            began = asyncio.get_running_loop().time()
            before = await asyncio.to_thread(self._bases)
            pending, too_early = self._pending, self._under_way > 0
            await self._client.bgrewriteaof()
            info = await self._rewriting(first["run_id"])
            now = asyncio.get_running_loop().time()
        if info["aof_last_bgrewrite_status"] != "ok" or before & await asyncio.to_thread(self._bases):
            raise StoreError("the private Redis could not rewrite its file, its redis.log says why")
        self._expired = first["expired_keys"]
        self._check_expiry_at = now + self._expiry_check_s
        self._rest_until = now + REST_PER_REWRITE * (now - began)
        self._pending -= pending
        if pending and not self._pending:
            log.info("what was deleted is not in the private Redis's file any more")
        if not too_early:
            await self._unmark()

    async def _unmark(self) -> None:
        if not (self._pending or self._under_way):
            await asyncio.to_thread(self._mark.unlink, missing_ok=True)

    async def _rewriting(self, run_id: str | None) -> Any:
        """Wait until no rewriting is under way. Raises StoreError if it is another server by then."""
        while True:
            info: Any = await self._client.info()
            if run_id not in (None, info["run_id"]):
                raise StoreError("the private Redis was started again meanwhile")
            if not (info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"]):
                return info
            await asyncio.sleep(POLL_INTERVAL_S)

    def _bases(self) -> set[tuple[str, int]]:
        """The files that a rewriting replaces."""
        found = set()
        for path in (self._directory / "appendonly.aof", *self._directory.glob("appendonlydir/*.base.*")):
            with suppress(FileNotFoundError):
                found.add((path.name, path.stat().st_ino))
        return found

    async def _until_quiet(self) -> None:
        first = asyncio.get_running_loop().time()
        while (left_s := first + MAX_WAIT_S - asyncio.get_running_loop().time()) > 0:
            self._deletion_noted.clear()
            try:
                await asyncio.wait_for(self._deletion_noted.wait(), min(self._quiet_s, left_s))
            except TimeoutError:
                break
        await asyncio.sleep(max(0.0, self._rest_until - asyncio.get_running_loop().time()))

    async def _until_tomorrow(self) -> None:
        """Until keys have expired since the last time, looked at daily, or a call is deleted."""
        while not self._pending:
            left_s = self._check_expiry_at - asyncio.get_running_loop().time()
            if left_s > 0:
                self._deletion_noted.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._deletion_noted.wait(), left_s)
                continue
            self._check_expiry_at += self._expiry_check_s
            with redis_failures("cannot ask what has expired"):
                if (await self._client.info("stats"))["expired_keys"] != self._expired:
                    return
        await self._until_quiet()
