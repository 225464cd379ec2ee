"""Writes calls: every event is numbered, kept and published in one atomic step of Redis."""

import time
from collections import OrderedDict
from collections.abc import Sequence

from msgspec.structs import replace

from transcriber.errors import CallDeleted, StoreError, StreamStateMismatch, StreamTaken
from transcriber.events.schema import (
    CallEnded,
    CallStarted,
    Event,
    Final,
    Partial,
    StreamStarted,
    StreamStopped,
    iso_time,
    to_json,
)
from transcriber.store import scripts
from transcriber.store.call_list import MAX_CALL_S, CallList
from transcriber.store.call_summary import Change
from transcriber.store.index_repair import IndexRepair
from transcriber.store.keys import Keys
from transcriber.store.leases import Lease, Leases
from transcriber.store.live_streams import LiveStreams
from transcriber.store.redis.batching import CommandBatches
from transcriber.store.redis.client import Client
from transcriber.store.redis.errors import redis_failures
from transcriber.store.search.index_writer import MAX_KNOWN_CALLS, IndexWriter
from transcriber.store.secondary_write_health import SecondaryWriteHealth
from transcriber.store.write_arguments import CallPosition, Entry, WriteKind, entry_arguments, raise_unless_done

INTERRUPTED = "interrupted"
"""Status and reason of a call whose last stream's server died."""


class RedisEventLog:
    """Writes the events of calls; any number of servers may write streams of one call at once.

    Each write is one atomic step: numbered, kept and published together. A lease says whose stream it is.

    `number` counts a stream's own writes 1, 2, 3 …: a write repeated after an unclear failure carries the same number
    and is recognised. Errors: StoreError, after which the same call may be made again; StreamStateMismatch, after
    which the stream is to be opened again; StreamTaken: the sid is another server's; CallDeleted: nothing of the stream
    is to be kept. Only what fails of the record itself is raised: calls whose indexes lack something are marked for
    `IndexRepair`.
    """

    def __init__(
        self,
        client: Client,
        keys: Keys,
        index_writer: IndexWriter,
        calls: CallList,
        index_repair: IndexRepair,
        secondary_writes: SecondaryWriteHealth,
        batches: CommandBatches,
        *,
        ttl_s: int,
        lease_s: float,
    ) -> None:
        self.leases = Leases(client, keys, lease_s=lease_s)
        self.streams = LiveStreams(client, keys)
        self.calls = calls
        self.secondary_writes = secondary_writes
        self._client = client
        self._batches = batches
        self._keys = keys
        self._index_writer = index_writer
        self._index_repair = index_repair
        self._ttl_s = ttl_s
        self._seq: OrderedDict[str, int] = OrderedDict()
        self._claim = client.register_script(scripts.CLAIM)
        self._write = client.register_script(scripts.WRITE)

    def seq(self, call_sid: str) -> int:
        """The last number a live call was given here, as far as is known."""
        return self._seq.get(call_sid, 0)

    async def open(
        self,
        lease: Lease,
        call: CallStarted,
        stream: StreamStarted,
        *,
        at_ms: int,
        call_ms: int | None = None,
        after: int = 0,
        seq: int = 0,
        skip: bool = False,
    ) -> int:
        """Begin a stream, or go on with it behind write number `after`. `at_ms`: epoch milliseconds of its start.

        Returns where the stream's zero lies on the call clock, in milliseconds. `call` is written only if the call was
        not live, and it is listed before it is published; the stored `resumed` and `start_ms` are the store's own.
        Should the store know nothing of it, the call began at `call_ms` and goes on behind the number `seq`; should it
        lack writes up to `after`, that is StreamStateMismatch, unless `skip` gives them up.
        """
        call_sid = call.call_sid
        with redis_failures("cannot open the stream"):
            age_ms = time.time_ns() // 1_000_000 - at_ms
            keys = [self._keys.call(call_sid), self._keys.deleted(call_sid)]
            begins = [at_ms if call_ms is None else call_ms, at_ms, MAX_CALL_S, scripts.AHEAD_MS]
            claim = await self._claim(keys=keys, args=[*begins, lease.stream_sid, age_ms])
            started_ms, began_ms = map(int, claim)
            if started_ms < 0:
                await self._withdraw(lease)
                raise CallDeleted
            await self._list(lease, started_ms)
            if began_ms != at_ms and call_ms is not None:  # a clock that ran ahead: where the stream said before
                began_ms = started_ms + at_ms - call_ms
            offset_ms = max(0, began_ms - started_ms)
            entries = _opening_entries(call, replace(stream, start_ms=offset_ms), started_ms)
            try:
                step: WriteKind = "skip" if skip else "open"
                position = CallPosition(at_ms, age_ms, seq)
                await self._run(step, lease, after, entries, position=position)
            except StreamTaken:
                await self.leases.release(lease)
                raise
            except CallDeleted:
                await self._withdraw(lease)
                raise
            # Again: another stream's end may have unlisted the call in between.
            await self._index_repair.write("live", [call_sid], lambda: self.calls.add_live(call_sid, started_ms))
        self._index_writer.begin(call_sid, started_ms)
        if after:  # whoever wrote before may have died with words of finals that were not in the index yet
            self._index_repair.mark(call_sid)
        return offset_ms

    async def _list(self, lease: Lease, started_ms: int) -> None:
        call_sid = lease.call_sid
        await self._index_repair.write("calls", [call_sid], lambda: self.calls.add(call_sid, started_ms))
        await self._index_repair.write("live", [call_sid], lambda: self.calls.add_live(call_sid, started_ms))
        await self._index_repair.write("leases", [call_sid], lambda: self.leases.take(lease))

    async def append(self, lease: Lease, number: int, event: Event) -> None:
        """Keep and publish one event."""
        with redis_failures("cannot write an event"):
            await self._run("append", lease, number, [Entry("always", event)])
        if isinstance(event, Final):
            self._index_writer.add(event.call_sid, event.text)

    async def close(self, lease: Lease, number: int, stream: StreamStopped, call: CallEnded) -> bool:
        """End a stream; `call` is written only if it was the call's last live one. Returns whether it was."""
        # Before: who dies in between leaves a live stream, whose words are then indexed by who ends it. Also because
        # another server may end the call, and delete it, unseen by this one; another stream of ours looks it up again.
        await self._index_writer.finish(stream.call_sid)
        with redis_failures("cannot close the stream"):
            entries = [Entry("always", stream), Entry("last", call)]
            was_last = await self._run("close", lease, number, entries)
        if was_last:
            await self._end_call(stream.call_sid)
        await self._index_repair.write("leases", [stream.call_sid], lambda: self.leases.release(lease))
        return was_last

    async def publish(self, partial: Partial) -> None:
        """Publish without keeping. Raises StoreError."""
        try:
            with redis_failures("cannot publish a partial"):
                command, channel_of = "PUBLISH", self._keys.channel
                if self._keys.sharded:
                    command, channel_of = "SPUBLISH", self._keys.shard_channel
                await self._batches.execute(command, channel_of(partial.call_sid, partial.channel), to_json(partial))
        except StoreError as error:
            if error.reason == "refused":
                self.secondary_writes.failed("channels", error)
            raise

    async def interrupt(self, lease: Lease, *, at: str) -> bool:
        """The owner of that lease is dead: its stream ends, and the call if it was the last. Raises StoreError.

        Any number of servers may do so at once: one of them does it. Returns whether it was this one.
        """
        ended = CallEnded(call_sid=lease.call_sid, reason=INTERRUPTED, at=at)
        entries = [Entry("last", ended, (Change("HSET", "status", INTERRUPTED),))]
        done = True
        with redis_failures("cannot end the stream of a dead server"):
            try:
                if await self._run("interrupt", lease, 0, entries):
                    await self._end_call(lease.call_sid)
                self._index_repair.mark(lease.call_sid)  # it may have died between a final and its words in the index
            except StreamStateMismatch:
                done = False
            # Last, and whatever the score is by now: an owner that comes back sees by this that it was taken for dead.
            await self.leases.release(lease)
        return done

    async def _end_call(self, call_sid: str) -> None:
        await self._index_repair.write("live", [call_sid], lambda: self.calls.remove_live(call_sid))
        self._seq.pop(call_sid, None)

    async def _withdraw(self, lease: Lease) -> None:
        """The call was deleted: what this server may have written of it since goes."""
        await self._index_repair.write("leases", [lease.call_sid], lambda: self.leases.release(lease))
        await self._index_repair.write("search", [lease.call_sid], lambda: self._index_writer.withdraw(lease.call_sid))
        self._seq.pop(lease.call_sid, None)

    async def _run(
        self,
        step: WriteKind,
        lease: Lease,
        number: int,
        entries: Sequence[Entry],
        *,
        position: CallPosition | None = None,
    ) -> bool:
        """Whether no live stream is left. Raises StreamStateMismatch, StreamTaken, CallDeleted."""
        call_sid = lease.call_sid
        position = position or CallPosition()
        args: list[str | int] = [
            step,
            lease.stream_sid,
            number,
            lease.owner,
            max(position.seq, self.seq(call_sid)),
            position.at_ms,
            self._ttl_s,
            max(self._ttl_s, MAX_CALL_S),
            position.age_ms,
        ]
        done, written, seq, was_last, *refused = await self._batches.run(
            self._write,
            [self._keys.events(call_sid), self._keys.call(call_sid), self._keys.deleted(call_sid)],
            [*args, len(entries), *entry_arguments(self._keys, entries)],
        )
        raise_unless_done(done, written)
        if refused:
            self.secondary_writes.answered("channels", refused[0])
            self.secondary_writes.answered("expiry", refused[1])
        self._seq[call_sid] = seq
        if len(self._seq) > MAX_KNOWN_CALLS:
            self._seq.popitem(last=False)
        return bool(was_last)


def _opening_entries(call: CallStarted, stream: StreamStarted, started_ms: int) -> list[Entry]:
    started = (
        Change("HSET", "started_at_ms", started_ms),
        Change("HSET", "started_at", iso_time(started_ms / 1000)),
    )
    return [
        Entry("first", replace(call, resumed=False)),
        Entry("resumed", replace(call, resumed=True)),
        Entry("new", stream, started),
    ]
