"""One-time tickets on a real Redis."""

import asyncio

from transcriber.store.redis_store import RedisStore


async def test_a_ticket_is_good_once(store: RedisStore) -> None:
    ticket = await store.tickets.issue("CA1")
    assert await store.tickets.redeem(ticket, "CA1") is True
    assert await store.tickets.redeem(ticket, "CA1") is False


async def test_of_many_at_once_one_gets_in(store: RedisStore) -> None:
    ticket = await store.tickets.issue("CA1")
    answers = await asyncio.gather(*(store.tickets.redeem(ticket, "CA1") for _ in range(20)))
    assert answers.count(True) == 1


async def test_a_ticket_is_for_its_call_only_and_spent_by_the_try(store: RedisStore) -> None:
    ticket = await store.tickets.issue("CA1")
    assert await store.tickets.redeem(ticket, "CA2") is False
    assert await store.tickets.redeem(ticket, "CA1") is False


async def test_invented_tickets_are_refused(store: RedisStore) -> None:
    assert await store.tickets.redeem("", "CA1") is False
    assert await store.tickets.redeem("x" * 32, "CA1") is False


async def test_tickets_are_long_differ_and_expire(store: RedisStore) -> None:
    tickets = {await store.tickets.issue("CA1") for _ in range(10)}
    assert len(tickets) == 10
    assert all(len(ticket) >= 22 for ticket in tickets)  # 128 bits in base64
    for ticket in tickets:
        assert 295 <= await store.client.ttl(store.keys.ticket(ticket)) <= 300
