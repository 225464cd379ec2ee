"""Following what is published: one pub/sub connection per process, fanned out to bounded queues."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from redis.asyncio.client import PubSub
from redis.exceptions import NoPermissionError

from transcriber.errors import StoreError
from transcriber.events.schema import Channel, parse
from transcriber.runtime.cancellation import cancel
from transcriber.store.keys import CHANNELS, Keys
from transcriber.store.ports import PublishedEvent
from transcriber.store.redis.client import Client
from transcriber.store.redis.errors import redis_failures
from transcriber.store.secondary_write_health import SecondaryWriteHealth

log = logging.getLogger(__name__)
MAX_WAITING_MESSAGES = 1000
"""Messages one follower may be behind."""
BEHIND_MESSAGES = 20
"""So many messages behind, a reader has no use for partials that are not the newest."""
CONFIRM_S = 5.0
HEARTBEAT_S = 15.0
"""Silence after which the connection must answer a PING within as long again: a cut cable sends no goodbye."""
BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0)


class _Follower:
    """One reader's bounded queue. Belongs to the event loop's thread.

    Of a reader that is behind, only each track's newest partial waits: an entry whose message is None was superseded.
    """

    def __init__(self, call_sid: str | None, most: int) -> None:
        self.call_sid = call_sid
        self._most = most
        self._waiting: deque[list[PublishedEvent | None]] = deque()
        self._newest: dict[tuple[str, ...], list[PublishedEvent | None]] = {}
        self._superseded = 0
        self._news = asyncio.Event()
        self._failure: StoreError | None = None

    def offer(self, message: PublishedEvent) -> None:
        """Take a message. When full: partials go, and if none is left to go, the following ends."""
        if self._failure is not None or self.call_sid not in (None, message.call_sid):
            return
        if len(self._waiting) >= self._most:
            self._make_room(partials=message.channel != "partial")
        if len(self._waiting) >= self._most:
            if message.channel != "partial":
                self.fail(
                    StoreError(f"this reader fell more than {self._most} messages behind; read the history again")
                )
            return
        entry: list[PublishedEvent | None] = [message]
        if message.channel == "partial" and len(self._waiting) >= BEHIND_MESSAGES:
            self._supersede(message, entry)
        self._waiting.append(entry)
        self._news.set()

    def fail(self, failure: StoreError) -> None:
        self._failure = self._failure or failure
        self._news.set()

    async def messages(self) -> AsyncIterator[PublishedEvent]:
        """What was offered, in order; raises StoreError after the last message if the following broke."""
        while True:
            while self._waiting:
                entry = self._waiting.popleft()
                message, entry[0] = entry[0], None
                if message is None:
                    self._superseded -= 1
                else:
                    yield message
            self._newest.clear()
            if self._failure is not None:
                raise self._failure
            self._news.clear()
            await self._news.wait()

    def _supersede(self, partial: PublishedEvent, entry: list[PublishedEvent | None]) -> None:
        """`entry` takes the place of the partial of the same track that came before it."""
        track = _track(partial.json)
        if track is None:
            return
        older = self._newest.get((partial.call_sid, *track))
        if older is not None and older[0] is not None:
            older[0] = None
            self._superseded += 1
        self._newest[partial.call_sid, *track] = entry

    def _make_room(self, *, partials: bool) -> None:
        if partials:
            kept = (entry for entry in self._waiting if entry[0] is not None and entry[0].channel != "partial")
            self._waiting = deque(kept)
            self._newest.clear()
        elif self._superseded:
            self._waiting = deque(entry for entry in self._waiting if entry[0] is not None)
        self._superseded = 0


def _track(text: str) -> tuple[str, str] | None:
    event = parse(text)
    return (str(event["stream_sid"]), str(event["track"])) if {"stream_sid", "track"} <= event.keys() else None


class RedisFeed:
    """Implements `Feed`. Subscribes with its first follower and stays subscribed until closed.

    To a pattern a kind, or, where the user's rights name only all channels at once, to all of them.
    """

    def __init__(
        self,
        client: Client,
        keys: Keys,
        *,
        kinds: Sequence[Channel] = CHANNELS,
        max_waiting: int = MAX_WAITING_MESSAGES,
        confirm_s: float = CONFIRM_S,
        secondary_writes: SecondaryWriteHealth | None = None,
    ) -> None:
        self._client = client
        self._keys = keys
        self._kinds = frozenset(kinds)
        self._patterns = keys.patterns(kinds)
        self._secondary_writes = secondary_writes
        self._max_waiting = max_waiting
        self._confirm_s = confirm_s
        self._followers: set[_Follower] = set()
        self._subscribed = asyncio.Event()
        self._settled = asyncio.Event()
        """Set while subscribed, and while it is known that we may not be."""
        self._task: asyncio.Task[None] | None = None
        self._last_failure = StoreError("Redis did not confirm the subscription", reason="away")

    @asynccontextmanager
    async def follow(self, call_sid: str | None = None) -> AsyncIterator[AsyncIterator[PublishedEvent]]:
        """Live messages; see `Feed`. Raises StoreError on entering: Redis refuses, or does not confirm in 5 s.

        The iterator raises StoreError when the connection was lost or the reader fell too far behind: something may
        have been missed, so follow again and read the history.
        """
        await self.start()
        follower = _Follower(call_sid, self._max_waiting)
        self._followers.add(follower)
        try:
            yield follower.messages()
        finally:
            self._followers.discard(follower)

    async def start(self) -> None:
        """Return when Redis has confirmed the subscription. Raises StoreError when it refuses, and after 5 s."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="redis-feed")
        try:
            async with asyncio.timeout(self._confirm_s):
                while not self._subscribed.is_set():  # it may be lost again before we run
                    await self._settled.wait()
                    if not self._subscribed.is_set():
                        break
        except TimeoutError:
            pass
        if not self._subscribed.is_set():
            raise StoreError(f"cannot follow: {self._last_failure}", reason=self._last_failure.reason)

    async def aclose(self) -> None:
        """Unsubscribe; followers get StoreError."""
        if self._task is not None:
            await cancel(self._task)
            self._task = None
        self._mark_lost(StoreError("the server is closing"))

    async def _run(self) -> None:
        failures = 0
        while True:
            pubsub = self._client.pubsub()
            try:
                with redis_failures("subscription lost"):
                    await self._subscribe(pubsub)
                    failures = 0
                    self._mark_subscribed()
                    await self._read(pubsub)
            except StoreError as error:
                log.log(logging.WARNING if failures == 0 else logging.DEBUG, "%s", error)
                self._mark_lost(error)
            except Exception:  # the task must outlive a message that is not text or not ours
                log.exception("a published message broke the subscription")
                self._mark_lost(StoreError("subscription lost: a message could not be read"))
            finally:
                with suppress(StoreError), redis_failures("cannot unsubscribe"):
                    await pubsub.aclose()  # type: ignore[no-untyped-call]
            await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
            failures += 1

    def _mark_subscribed(self) -> None:
        self._subscribed.set()
        self._settled.set()
        if self._secondary_writes is not None:
            self._secondary_writes.succeeded("subscription")

    def _mark_lost(self, failure: StoreError) -> None:
        self._subscribed.clear()
        self._settled.clear()
        self._last_failure = failure
        if failure.reason == "refused":
            self._settled.set()
            if self._secondary_writes is not None:
                self._secondary_writes.failed("subscription", failure)
        for follower in self._followers:
            follower.fail(failure)

    async def _subscribe(self, pubsub: PubSub) -> None:
        try:
            await self._confirmed(pubsub, self._patterns)
        except NoPermissionError:
            await pubsub.aclose()  # type: ignore[no-untyped-call]  # what was refused would be asked for again
            await self._confirmed(pubsub, (self._keys.every_channel,))

    async def _confirmed(self, pubsub: PubSub, patterns: Sequence[str]) -> None:
        await pubsub.psubscribe(*patterns)
        confirmed = 0
        while confirmed < len(patterns):
            message = await pubsub.get_message(timeout=CONFIRM_S)
            if message is None:
                raise StoreError("Redis did not confirm the subscription", reason="away")
            confirmed += message["type"] == "psubscribe"

    async def _read(self, pubsub: PubSub) -> None:
        asked = False
        while True:
            message = await pubsub.get_message(timeout=HEARTBEAT_S)
            if message is None and asked:
                raise StoreError("subscription lost: Redis has gone silent")
            asked = message is None
            if message is None:
                await pubsub.ping()
            elif message["type"] == "pmessage":
                self._hand_out(message["channel"], message["data"])

    def _hand_out(self, channel: str, text: str) -> None:
        name = self._keys.parse_channel(channel)
        if name is not None and name[1] in self._kinds:
            message = PublishedEvent(*name, text)
            for follower in self._followers:
                follower.offer(message)
