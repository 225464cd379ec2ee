"""Tries on scratch keys whether the Redis user may do all that is needed, before calls come.

Without that Redis would refuse a command in the middle of a script, after others were done.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress

from transcriber.errors import StoreError
from transcriber.store.keys import Keys
from transcriber.store.redis.client import Client
from transcriber.store.redis.errors import redis_failures
from transcriber.store.redis.pubsub_nodes import node_of, opener
from transcriber.store.redis.topic_connection import COMMANDS
from transcriber.store.redis.topics import Topic

CONFIRM_S = 5.0


def commands(keys: Keys, token: str) -> Iterator[Sequence[str]]:
    """Every command that the service uses; only scratch keys are changed."""
    base = f"{keys.prefix}:{{check:{token}}}"
    text, table, order, group, stream = (f"{base}:{kind}" for kind in ("text", "hash", "zset", "set", "stream"))
    for line in (
        "PING", "TIME", "SCAN 0 COUNT 1",
        f"SET {text} 1 EX 60", f"GETDEL {text}", f"EXISTS {text}",
        f"HSET {table} a 1", f"HSETNX {table} b 1", f"HGET {table} a", f"HMGET {table} a b", f"HGETALL {table}",
        f"HINCRBY {table} a 1", f"HLEN {table}", f"HSCAN {table} 0", f"HDEL {table} b",
        f"PERSIST {table}", f"EXPIRE {table} 60",
        f"ZADD {order} 1 a", f"ZSCORE {order} a", f"ZCARD {order}", f"ZRANGE {order} 0 -1",
        f"ZRANGEBYSCORE {order} 0 1", f"ZREVRANGEBYSCORE {order} 1 0", f"ZRANGEBYLEX {order} - +",
        f"ZREM {order} a", f"SADD {group} a", f"SMEMBERS {group}",
        f"XADD {stream} 1-0 event 1", f"XRANGE {stream} - +", f"XGROUP CREATE {stream} check 0",
        f"XREADGROUP GROUP check check COUNT 1 STREAMS {stream} >", f"XPENDING {stream} check",
        f"XCLAIM {stream} check check 0 1-0 JUSTID", f"XACK {stream} check 1-0", f"XINFO GROUPS {stream}",
        f"EVALSHA {'0' * 40} 1 {text}",
        f"DEL {text} {table} {order} {group} {stream}",
    ):  # fmt: skip
        yield line.split()
    yield "SCRIPT LOAD", "return 1"
    yield "PUBSUB CHANNELS", keys.probe_channel


def places(keys: Keys, token: str) -> Iterator[Sequence[str]]:
    """A command on every kind of key and channel, with names that no call has."""
    sid = f"check{token}"
    for key in (keys.calls, keys.live, keys.leases, keys.unindexed, f"{keys.search}days"):
        yield "ZREM", key, sid
    yield "SMEMBERS", keys.webhooks
    of_webhook = (keys.webhook(sid), keys.dead_letters(sid))
    for key in (keys.ticket(token), keys.events(sid), keys.call(sid), keys.deleted(sid), *of_webhook):
        yield "DEL", key
    yield "PUBLISH", keys.probe_channel, ""
    if keys.sharded:
        yield "SPUBLISH", keys.shard_channel(sid, "final"), ""


async def missing_rules(client: Client, keys: Keys) -> list[str]:
    """The ACL rules that the user of this connection lacks.

    Raises StoreError when Redis is away, or takes no writes from anybody.
    """
    token = secrets.token_hex(4)
    found: dict[str, None] = {}
    tried = list(commands(keys, token))
    try:
        for words in (*tried, *places(keys, token)):
            try:
                with redis_failures("Redis does not do all that is needed"):
                    await client.execute_command(*words)
            except StoreError as error:
                if error.reason == "refused":
                    found[_granting(str(error), words[0], keys)] = None
                elif error.reason != "error":  # one command too few before it, nothing of rights
                    raise
        found |= dict.fromkeys(await _not_followed(client, keys))
    finally:
        with suppress(StoreError), redis_failures("cannot remove scratch keys"):
            await client.delete(*next(words[1:] for words in tried if words[0] == "DEL"))
    return list(found)


def user_name(client: Client) -> str:
    """The user of this client's connections."""
    return str(client.get_connection_kwargs().get("username") or "default")


def _granting(refusal: str, command: str, keys: Keys) -> str:
    """The rule that would allow it, by the words of Redis 6 and 7."""
    if "channel" in refusal:
        return f"&{keys.prefix}:*"
    if "keys used" in refusal or "access a key" in refusal:
        return f"~{keys.prefix}:*"
    return f"+{command.split()[0].lower()}"


async def _not_followed(client: Client, keys: Keys) -> list[str]:
    """The same of subscriptions, and of leaving them."""
    topics = [Topic("pattern", keys.every_channel), Topic("channel", keys.probe_channel)]
    if keys.sharded:
        topics.append(Topic("shard", keys.shard_channel("check", "final")))
    found = []
    for topic in topics:
        pubsub = opener(client, await node_of(client, topic, ask=True))()
        try:
            for name in (COMMANDS[topic.kind, True], COMMANDS[topic.kind, False]):
                try:
                    with redis_failures("cannot follow"):
                        await getattr(pubsub, name)(topic.name)
                        await pubsub.get_message(timeout=CONFIRM_S)
                except StoreError as error:
                    if error.reason != "refused":
                        raise
                    found.append(_granting(str(error), name, keys))
        finally:
            with suppress(StoreError), redis_failures("cannot unsubscribe"):
                await pubsub.aclose()  # type: ignore[no-untyped-call]
    return found
