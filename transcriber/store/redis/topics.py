"""What one pub/sub connection is subscribed to and who listens: bookkeeping, and the commands that follow. Pure."""

from collections import deque
from collections.abc import Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Generic, Literal, NamedTuple, TypeVar

Kind = Literal["channel", "pattern", "shard"]
State = Literal["adding", "subscribed", "leaving"]
MAX_BATCH = 192
"""Topics that are subscribed to, or left, at once; what is more waits for the answers to these."""
MAX_IDLE = 1_000
"""Topics without listeners that stay subscribed: beyond it the oldest go at once."""

ListenerT = TypeVar("ListenerT", bound=Hashable)


class Topic(NamedTuple):
    """A channel, a pattern of channels, or a channel of a cluster's shard."""

    kind: Kind
    name: str

    @property
    def group(self) -> str:
        """Topics of one kind and group may go into one command; of shard channels, only those of one slot may."""
        return self.name.partition("{")[2].partition("}")[0] if self.kind == "shard" else ""


@dataclass(slots=True)
class Command:
    """What Redis was told. `missing`: the topics whose confirmation has not come. A PING has no topics."""

    subscribes: bool
    topics: tuple[Topic, ...] = ()
    missing: set[Topic] = field(default_factory=set)


class Subscriptions(Generic[ListenerT]):
    """The topics of one connection. One without listeners stays for `linger_s`, for readers who come back.

    `in_flight`: what Redis has not answered yet, the oldest first; it answers in order.
    """

    def __init__(self, *, linger_s: float) -> None:
        self._linger_s = linger_s
        self._listeners: dict[Topic, set[ListenerT]] = {}
        """Of every topic that is wanted."""
        self._idle: dict[Topic, float] = {}
        """Those without listeners, and until when they are wanted: the oldest come first."""
        self._states: dict[Topic, State] = {}
        self._changed: dict[Topic, None] = {}
        """Where what is wanted and what is may differ."""
        self.in_flight: deque[Command] = deque()

    def __len__(self) -> int:
        return len(self._listeners)

    def __contains__(self, topic: Topic) -> bool:
        """Whether Redis has confirmed that it sends this topic's messages."""
        return self._states.get(topic) == "subscribed"

    def everyone(self) -> set[ListenerT]:
        """All listeners."""
        return set().union(*self._listeners.values())

    def listeners(self, topic: Topic) -> Collection[ListenerT]:
        """Those of one topic."""
        return self._listeners.get(topic, ())

    def listen(self, topics: Iterable[Topic], listener: ListenerT) -> None:
        """From now on these topics are wanted."""
        for topic in topics:
            self._idle.pop(topic, None)
            if topic not in self._listeners:
                self._listeners[topic] = set()
                self._changed[topic] = None
            self._listeners[topic].add(listener)

    def leave(self, topics: Iterable[Topic], listener: ListenerT, *, now_s: float) -> None:
        """The listener has gone."""
        for topic in topics:
            listeners = self._listeners.get(topic)
            if listeners is not None and listener in listeners:
                listeners.discard(listener)
                if not listeners:
                    self._idle[topic] = now_s + self._linger_s

    def expire(self, *, now_s: float) -> float | None:
        """Topics whose time is up are no longer wanted. Returns when the next one's is, if there is one."""
        while self._idle:
            topic, until_s = next(iter(self._idle.items()))
            if until_s > now_s and len(self._idle) <= MAX_IDLE:
                return until_s
            self._forget(topic)
            self._changed[topic] = None
        return None

    def commands(self) -> Iterator[Command]:
        """What Redis is to be told now: nothing while it has not answered what it was told before."""
        if self.in_flight:
            return
        chosen: list[tuple[bool, Topic]] = []
        for topic in list(islice(self._changed, MAX_BATCH)):
            del self._changed[topic]
            wanted = topic in self._listeners
            if wanted != (topic in self._states):
                self._states[topic] = "adding" if wanted else "leaving"
                chosen.append((wanted, topic))
        chosen.sort(key=_command_of)
        for (subscribes, _, _), group in groupby(chosen, key=_command_of):
            topics = tuple(topic for _, topic in group)
            command = Command(subscribes, topics, set(topics))
            self.in_flight.append(command)
            yield command

    def confirmed(self, topic: Topic, *, subscribes: bool) -> bool:
        """Redis has answered about one topic. Returns False if nobody asked: it will send no more of it."""
        command = self.in_flight[0] if self.in_flight else None
        if command is None or command.subscribes != subscribes or topic not in command.missing:
            return False
        command.missing.discard(topic)
        self._settle(topic, "subscribed" if subscribes else None)
        if not command.missing:
            self.in_flight.popleft()
        return True

    def refused(self) -> tuple[Topic, ...]:
        """Redis has answered the oldest command with an error. Returns the topics that it does not send for it."""
        command = self.in_flight.popleft()
        for topic in command.missing:
            self._settle(topic, None)
        missing = tuple(command.missing) if command.subscribes else ()
        for topic in missing:
            self._forget(topic)
        return missing

    def lost(self, topic: Topic) -> Collection[ListenerT]:
        """Redis sends no more of it. Returns who listened."""
        self._states.pop(topic, None)
        return self._forget(topic)

    def _settle(self, topic: Topic, state: State | None) -> None:
        if state is None:
            self._states.pop(topic, None)
        else:
            self._states[topic] = state
        if (topic in self._listeners) != (topic in self._states):  # somebody came or went meanwhile
            self._changed[topic] = None

    def _forget(self, topic: Topic) -> Collection[ListenerT]:
        self._idle.pop(topic, None)
        return self._listeners.pop(topic, ())


def _command_of(choice: tuple[bool, Topic]) -> tuple[bool, Kind, str]:
    subscribes, topic = choice
    return subscribes, topic.kind, topic.group
