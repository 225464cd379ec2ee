"""One pub/sub connection that is subscribed to what its listeners want at each moment, and to nothing else."""

import asyncio
import logging
from collections.abc import Callable, Collection, Hashable, Sequence
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from redis.asyncio.client import PubSub
from redis.exceptions import ResponseError

from transcriber.errors import StoreError
from transcriber.runtime.cancellation import cancel
from transcriber.store.redis.errors import failure_reason, redis_failures
from transcriber.store.redis.topics import Command, Kind, Subscriptions, Topic

log = logging.getLogger(__name__)
CONFIRM_S = 5.0
HEARTBEAT_S = 15.0
"""Silence after which the connection must answer a PING: a cut cable sends no goodbye."""
LINGER_S = 5.0
"""So long a topic that nobody listens to any more stays subscribed: a page that is loaded anew comes back."""
MESSAGES: dict[str, Kind] = {"message": "channel", "pmessage": "pattern", "smessage": "shard"}
CONFIRMATIONS: dict[str, tuple[Kind, bool]] = {
    "subscribe": ("channel", True),
    "unsubscribe": ("channel", False),
    "psubscribe": ("pattern", True),
    "punsubscribe": ("pattern", False),
    "ssubscribe": ("shard", True),
    "sunsubscribe": ("shard", False),
}
COMMANDS = {kind_and_way: name for name, kind_and_way in CONFIRMATIONS.items()}


class Listener(Hashable, Protocol):
    """Who listens to topics."""

    def fail(self, failure: StoreError) -> None:
        """Something may have been missed, and nothing more comes."""


ListenerT = TypeVar("ListenerT", bound=Listener)


class TopicConnection(Generic[ListenerT]):
    """Connects with its first listener and ends with the last one, or when the connection is lost; then make another.

    `open_pubsub` gives a PubSub of redis-py that was not used yet and does not connect again by itself. `deliver` is
    given each message: who listens, the channel, the text. Belongs to the event loop's thread.
    """

    def __init__(
        self,
        open_pubsub: Callable[[], PubSub],
        deliver: Callable[[Collection[ListenerT], str, str], None],
        *,
        linger_s: float = LINGER_S,
    ) -> None:
        self._open_pubsub = open_pubsub
        self._deliver = deliver
        self._subscriptions: Subscriptions[ListenerT] = Subscriptions(linger_s=linger_s)
        self._answers: dict[Topic, asyncio.Future[StoreError | None]] = {}
        """For those who wait for a topic's confirmation."""
        self._changed = asyncio.Event()
        self._heard_s = 0.0
        """When Redis last said something, or was asked something."""
        self._confirmed_any = False
        self._task: asyncio.Task[None] | None = None
        self.over = False
        """Set when it takes no more listeners."""

    async def listen(self, topics: Sequence[Topic], listener: ListenerT) -> None:
        """Return when Redis has confirmed all topics: nothing published on them from now on is missed.

        Raises StoreError when Redis refuses or the connection is lost; then the listener has not begun to listen.
        """
        if self.over:
            raise StoreError("the subscription has ended", reason="away")
        self._subscriptions.listen(topics, listener)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="a pub/sub connection to Redis")
        self._changed.set()
        try:
            while missing := next((topic for topic in topics if topic not in self._subscriptions), None):
                answer = self._answers.setdefault(missing, asyncio.get_running_loop().create_future())
                if failure := await asyncio.shield(answer):
                    raise StoreError(str(failure), reason=failure.reason)
        except BaseException:
            self.leave(topics, listener)
            raise

    def leave(self, topics: Sequence[Topic], listener: ListenerT) -> None:
        """Nothing more is delivered to it."""
        self._subscriptions.leave(topics, listener, now_s=asyncio.get_running_loop().time())
        self._changed.set()

    async def aclose(self, failure: StoreError) -> None:
        """End it; the listeners fail with that."""
        self._end(failure)
        if self._task is not None:
            await cancel(self._task)

    async def _run(self) -> None:
        pubsub = self._open_pubsub()
        failure = StoreError("the subscription has ended", reason="away")
        try:
            with redis_failures("subscription lost"):
                await self._send(pubsub)
                await self._serve(pubsub)
        except StoreError as error:
            failure = error
            log.log(logging.WARNING if self._confirmed_any else logging.DEBUG, "%s", error)
        except Exception:
            log.exception("a published message broke the subscription")
            failure = StoreError("subscription lost: a message could not be read")
        finally:
            self._end(failure)
            with suppress(StoreError), redis_failures("cannot unsubscribe"):
                await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _serve(self, pubsub: PubSub) -> None:
        tasks = [asyncio.create_task(work(pubsub)) for work in (self._read, self._keep)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel(*tasks)
        for task in done:
            task.result()

    def _end(self, failure: StoreError) -> None:
        self.over = True
        for listener in self._subscriptions.everyone():
            listener.fail(failure)
        for topic in list(self._answers):
            self._answer(topic, failure)

    async def _keep(self, pubsub: PubSub) -> None:
        """Tell Redis what changes, and see that it answers, until nothing is wanted any more."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            next_s = self._subscriptions.expire(now_s=loop.time())
            if not self._subscriptions:
                self.over = True
                return
            await self._send(pubsub)
            silent_s = self._heard_s + (CONFIRM_S if self._subscriptions.in_flight else HEARTBEAT_S)
            if loop.time() < silent_s:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(min(silent_s, next_s or silent_s)):
                        await self._changed.wait()
            elif self._subscriptions.in_flight:
                raise StoreError("Redis does not answer the subscription", reason="away")
            else:
                self._subscriptions.in_flight.append(Command(subscribes=False))
                self._heard_s = loop.time()
                await pubsub.ping()

    async def _send(self, pubsub: PubSub) -> None:
        for command in self._subscriptions.commands():
            self._heard_s = asyncio.get_running_loop().time()
            name = COMMANDS[command.topics[0].kind, command.subscribes]
            await getattr(pubsub, name)(*(topic.name for topic in command.topics))

    async def _read(self, pubsub: PubSub) -> None:
        time = asyncio.get_running_loop().time
        while True:
            try:
                message = await pubsub.get_message(timeout=None)
            except ResponseError as error:
                self._refused(error)
                continue
            self._heard_s = time()
            if message is None:
                continue  # redis-py's own PING
            kind = MESSAGES.get(message["type"])
            if kind is None:
                self._confirmed(message["type"], message["channel"])
                continue
            topic = Topic(kind, message["pattern" if kind == "pattern" else "channel"])
            if listeners := self._subscriptions.listeners(topic):
                self._deliver(listeners, message["channel"], message["data"])

    def _confirmed(self, kind: str, name: str) -> None:
        if kind == "pong":
            self._subscriptions.in_flight.popleft()
        else:
            topic = Topic(CONFIRMATIONS[kind][0], name)
            subscribes = CONFIRMATIONS[kind][1]
            if self._subscriptions.confirmed(topic, subscribes=subscribes):
                if subscribes:
                    self._confirmed_any = True
                    self._answer(topic, None)
            elif not subscribes:  # of a cluster's shard: the slot has moved
                failure = StoreError("the channel has moved to another node", reason="away")
                for listener in self._subscriptions.lost(topic):
                    listener.fail(failure)
                self._answer(topic, failure)
        self._changed.set()

    def _refused(self, error: ResponseError) -> None:
        if not self._subscriptions.in_flight:
            raise error
        failure = StoreError(f"Redis refuses the subscription: {error}", reason=failure_reason(error))
        for topic in self._subscriptions.refused():
            self._answer(topic, failure)
        self._changed.set()

    def _answer(self, topic: Topic, failure: StoreError | None) -> None:
        answer = self._answers.pop(topic, None)
        if answer is not None and not answer.done():
            answer.set_result(failure)
