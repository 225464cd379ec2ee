"""Dead letters sent once more, because an operator asks for it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from transcriber.errors import ReceiverGone
from transcriber.runtime.cancellation import cancel
from transcriber.webhooks.client import WebhookClient
from transcriber.webhooks.dead_letters import DeadLetter, DeadLetters
from transcriber.webhooks.queue import MAX_CONCURRENT_COMMANDS


@dataclass(slots=True)
class RedeliveryResult:
    """How many were delivered, were not taken again and stay, and had no event any more (deleted or expired)."""

    delivered: int = 0
    kept: int = 0
    lost: int = 0


async def redeliver_dead_letters(dead_letters: DeadLetters, client: WebhookClient) -> RedeliveryResult:
    """Try every dead letter once, a call's in order, several calls at once; what is delivered is discarded.

    Raises StoreError, and ReceiverGone for an answer of 410.
    """
    result = RedeliveryResult()
    letters = await dead_letters.all()
    calls = iter([list(of_call) for _, of_call in groupby(letters, key=lambda letter: letter.call_sid)])

    async def work() -> None:
        for of_call in calls:
            await _redeliver_call(of_call, dead_letters, client, result)

    working = [asyncio.create_task(work()) for _ in range(MAX_CONCURRENT_COMMANDS)]
    try:
        await asyncio.gather(*working)
    finally:
        await cancel(*working)
    return result


async def _redeliver_call(
    letters: Sequence[DeadLetter], dead_letters: DeadLetters, client: WebhookClient, result: RedeliveryResult
) -> None:
    for letter in letters:
        event = await dead_letters.load_event(letter)
        if event is None:
            result.lost += 1
        else:
            await asyncio.sleep(client.quiet_s)
            answer = await client.post(event, ours=lambda: True)
            if answer.verdict == "gone":
                raise ReceiverGone("the receiver answered 410: it wants no more events")
            if answer.verdict != "delivered":
                result.kept += 1
                continue
            result.delivered += 1
        await dead_letters.discard(letter)
