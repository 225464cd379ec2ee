"""Commands of many callers go to Redis together: those that come while a batch is on its way are the next batch.

A command alone costs redis-py a connection from the pool, three timers and a wake-up or two; in a batch they are
shared. Without load there is nothing to wait for, so that a command then goes out at once, alone.
"""

import asyncio
import copy
from collections.abc import Sequence
from typing import Any

from redis.asyncio import RedisCluster
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError, RedisClusterException
from redis.exceptions import TimeoutError as RedisTimeoutError

from transcriber.store.redis.client import Client

MAX_BATCH = 64
"""Commands at once; what is more waits for the next batch."""


class CommandBatches:
    """Of one client. All methods belong to the event loop's thread. In a cluster each node has batches of its own, so
    that none waits for another.

    Raises what redis-py raises. What breaks the connection fails the whole batch, whose commands may have been done; a
    Redis that does not answer in time also those that wait, which have waited as long.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._nodes: dict[str, _Batches] = {}

    async def execute(self, *command: Any) -> Any:
        """What `execute_command` of the client gives. A command whose key comes first, or EVALSHA."""
        node = _node(self._client, command) if isinstance(self._client, RedisCluster) else ""
        batches = self._nodes.get(node)
        if batches is None:
            batches = self._nodes[node] = _Batches(self._client)
        return await batches.execute(command)

    async def run(self, script: AsyncScript, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        """What a registered script answers; should Redis not know it, it is loaded."""
        try:
            return await self.execute("EVALSHA", script.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await script(keys=keys, args=args)


def _node(cluster: RedisCluster, command: Sequence[Any]) -> str:
    """The node that the command is for; '' if none is known to have its slot."""
    key = command[3] if command[0] == "EVALSHA" else command[1]
    try:
        return str(cluster.nodes_manager.get_node_from_slot(cluster.keyslot(key)).name)
    except RedisClusterException:
        return ""


class _Batches:
    """Of one node."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._waiting: list[tuple[Sequence[Any], asyncio.Future[Any]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def execute(self, command: Sequence[Any]) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send(), name="sending commands to Redis")
        return await answer

    async def _send(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                try:
                    answers = await self._answers([command for command, _ in batch])
                except Exception as error:
                    if isinstance(error, RedisTimeoutError):
                        batch, self._waiting = batch + self._waiting, []
                    answers = [copy.copy(error) for _ in batch]
                for (_, future), answer in zip(batch, answers, strict=True):
                    if future.done():
                        continue  # nobody waits any more
                    if isinstance(answer, Exception):
                        future.set_exception(answer)
                    else:
                        future.set_result(answer)
        finally:
            self._sending = None

    async def _answers(self, commands: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """In order; of a command that Redis refused the exception."""
        if len(commands) == 1 and isinstance(self._client, RedisCluster):  # whose pipelines cost more
            return [await self._client.execute_command(*commands[0])]
        async with self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers
