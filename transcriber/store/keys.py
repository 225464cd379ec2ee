"""Names of every key and channel. What is kept under them does not live here."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from transcriber.events.schema import Channel

CHANNELS: tuple[Channel, ...] = get_args(Channel)


@dataclass(frozen=True, slots=True)
class Keys:
    """All names below one prefix. The braces make a call's keys share a Redis Cluster slot.

    `sharded`: messages are published on the channels of shards.
    """

    prefix: str
    sharded: bool = False

    def channel(self, call_sid: str, kind: Channel) -> str:
        return f"{self.prefix}:{call_sid}:{kind}"

    def shard_channel(self, call_sid: str, kind: Channel) -> str:
        """The same for SPUBLISH: in the slot of the call's keys, so that the script that writes them may publish it."""
        return f"{self.prefix}:{{{call_sid}}}:{kind}"

    def patterns(self, kinds: Iterable[Channel] = CHANNELS) -> tuple[str, ...]:
        """PSUBSCRIBE patterns that together are every message of these kinds, of every call."""
        return tuple(self.channel("*", kind) for kind in kinds)

    @property
    def every_channel(self) -> str:
        """A PSUBSCRIBE pattern for all of them. An ACL must name a pattern as it is asked for: `&<prefix>:*` has it."""
        return f"{self.prefix}:*"

    @property
    def probe_channel(self) -> str:
        """Where it is tried whether we may publish; no call's channel."""
        return f"{self.prefix}:probe"

    @property
    def status_callbacks(self) -> str:
        """A channel on which servers pass on status callbacks of streams that they do not have."""
        return f"{self.prefix}:stream-status"

    def parse_channel(self, name: str) -> tuple[str, Channel] | None:
        """(CallSid, kind) of one of our channels, also of a shard's; None for any other name."""
        head, _, call_sid = name.rpartition(":")[0].partition(":")
        call_sid = call_sid[1:-1] if call_sid[:1] + call_sid[-1:] == "{}" else call_sid
        for kind in CHANNELS:
            if head == self.prefix and call_sid and name.endswith(f":{kind}"):
                return call_sid, kind
        return None

    def events(self, call_sid: str) -> str:
        return f"{self.prefix}:{{{call_sid}}}:events"

    def call(self, call_sid: str) -> str:
        return f"{self.prefix}:{{{call_sid}}}:call"

    def deleted(self, call_sid: str) -> str:
        """What remembers that the call was deleted; see `call_deletion`. It holds no word of the call."""
        return f"{self.prefix}:{{{call_sid}}}:deleted"

    @property
    def calls(self) -> str:
        return f"{self.prefix}:calls"

    @property
    def live(self) -> str:
        """An index into `calls`: every live call is in it; a call in it need not be live."""
        return f"{self.prefix}:calls:live"

    @property
    def leases(self) -> str:
        """A sorted set: each live stream by the moment until which its server is held to be alive."""
        return f"{self.prefix}:leases"

    @property
    def lease_audit(self) -> str:
        """The server that looks for streams without a lease; it expires when it is time to look again."""
        return f"{self.prefix}:leases:audit"

    @property
    def search(self) -> str:
        """The first part of the search index's keys; the braces put them all into one Redis Cluster slot."""
        return f"{self.prefix}:{{{self.prefix}:search}}:"

    def search_part(self, number: int) -> str:
        """The same of one part of a Redis Cluster's calls, in a slot of its own."""
        return f"{self.prefix}:{{{self.prefix}:search:{number}}}:"

    @property
    def old_search(self) -> str:
        """As it was before all keys began with the prefix: in the same slot, read and removed, never written."""
        return f"{{{self.prefix}:search}}:"

    @property
    def unindexed(self) -> str:
        """A sorted set: CallSids whose entries in the indexes are to be written once more."""
        return f"{self.prefix}:unindexed"

    def database(self, number: int | str) -> str:
        """A channel on which nothing is published: who subscribes to it is on that database."""
        return f"{self.prefix}:database:{number}"

    def probe(self, owner: str) -> str:
        """What a server writes to see that it can."""
        return f"{self.prefix}:probe:{owner}"

    @property
    def webhooks(self) -> str:
        """A set: the names of all webhooks."""
        return f"{self.prefix}:webhooks"

    def webhook(self, name: str) -> str:
        """How far a webhook of that name has come."""
        return f"{self.prefix}:webhook:{name}"

    def dead_letters(self, name: str) -> str:
        """The events that a webhook of that name gave up."""
        return f"{self.webhook(name)}:dead"

    def ticket(self, ticket: str) -> str:
        """Only the hash of a ticket is kept, so that reading Redis gives nobody a valid one."""
        return f"{self.prefix}:ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"
