"""The arguments of the script `scripts.WRITE`, and its answer, for `RedisEventLog`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from transcriber.errors import CallDeleted, StoreError, StreamStateMismatch, StreamTaken
from transcriber.events.schema import Event, json_around_seq
from transcriber.store.call_summary import Change, changes
from transcriber.store.keys import Keys

Guard = Literal["always", "new", "first", "resumed", "last"]
"""When an entry is written: always; the stream is not known yet; the call has no events yet; it has, but no live
stream; none is left after this."""
WriteKind = Literal["open", "skip", "append", "close", "interrupt"]


@dataclass(frozen=True, slots=True)
class Entry:
    """An event, when it is written, and what else of the call's hash it changes."""

    guard: Guard
    event: Event
    more: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class CallPosition:
    """A stream's beginning and how long ago that was, in milliseconds; its call had been given the numbers to `seq`."""

    at_ms: int = 0
    age_ms: int = 0
    seq: int = 0


def entry_arguments(keys: Keys, entries: Sequence[Entry]) -> Iterator[str | int]:
    """The entries as the script reads them."""
    for entry in entries:
        event = entry.event
        made = [*changes(event), *entry.more]
        shard = keys.shard_channel(event.call_sid, event.channel) if keys.sharded else ""
        yield from (entry.guard, keys.channel(event.call_sid, event.channel), shard)
        yield from (*json_around_seq(event), len(made))
        for change in made:
            yield from (change.command, change.field, change.value)


def raise_unless_done(done: int, written: int) -> None:
    """The script's first two answers. Raises StreamStateMismatch, StreamTaken, CallDeleted or StoreError if refused."""
    match done:
        case 0:
            raise StreamStateMismatch(None if written < 0 else written)
        case -1:
            raise StreamTaken
        case -2:
            raise StoreError("an earlier stream of the same sid is not closed yet")
        case -3:
            raise CallDeleted
