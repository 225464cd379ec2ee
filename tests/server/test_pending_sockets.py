"""Sockets that prove nothing take no room from calls that do; a ticket in the address proves a call before the 101."""

import logging
from contextlib import AsyncExitStack
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp
import pytest

from tests.phone import Phone
from tests.server.conftest import Running, Serve
from transcriber.errors import ServerUnreachable, StoreError
from transcriber.settings.api_keys import settings_entry
from transcriber.telephony.simulator import CallIds
from transcriber.telephony.twilio.signature import compute

KEY = "admin-key" * 4
OPEN = {"require_ticket": True, "max_tracks": 20, "trusted_proxies": ("127.0.0.1",), "rate_per_address": 0}
PUBLIC = "https://media.example.net/asr"
SIGNED = {"twilio_auth_token": ("12345",), "public_url": PUBLIC}


def by(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


async def refusal(phone: Phone, **call: Any) -> str:
    """The words with which an upgrade is refused; empty if it is not."""
    try:
        async with phone.call(start=False, **call):
            return ""
    except ServerUnreachable as refused:
        return str(refused)


def gauge(running: Running, name: str) -> float | None:
    return running.server.services.metrics.registry.get_sample_value(f"transcriber_{name}")


async def ticketed(running: Running, ids: CallIds) -> Phone:
    """A phone that dials as the TwiML for that call says."""
    ticket = await running.server.store.tickets.issue(ids.call)
    return Phone(f"{running.server.url}/v1/media/ticket/{ticket}")


async def test_silent_strangers_shut_out_neither_keys_nor_tickets(serve: Serve) -> None:
    running = await serve(**OPEN, api_keys=(settings_entry("admin", KEY),))
    async with AsyncExitStack() as stack:
        for number in range(10):
            await stack.enter_async_context(running.phone.call(start=False, headers=by(f"203.0.113.{number}")))
        assert gauge(running, "sockets_unproved") == 10
        assert "503" in await refusal(running.phone, headers=by("198.51.100.1"))
        keyed = Phone(running.server.url, api_key=KEY)
        for number in range(5):
            ids = CallIds()
            phone = await ticketed(running, ids) if number % 2 else keyed
            ticket = {} if number % 2 else {"ticket": await running.server.store.tickets.issue(ids.call)}
            call = await stack.enter_async_context(phone.call(ids=ids, headers=by("198.51.100.1"), parameters=ticket))
            await running.live(number + 1)
            await call.play(300)
        assert not running.server.sessions.admission.full
    assert gauge(running, "sockets_unproved") == 0


async def test_one_address_opens_so_many_sockets_that_prove_nothing(serve: Serve) -> None:
    running = await serve(**OPEN)
    async with AsyncExitStack() as stack:
        for number in range(4, 8):
            call = running.phone.call(start=False, headers=by(f"2001:db8::{number}"))
            await stack.enter_async_context(call)
        assert "429" in await refusal(running.phone, headers=by("2001:db8::3"))
        assert await refusal(running.phone, headers=by("2001:db8:1::1")) == ""
        assert await refusal(running.phone, headers=by("203.0.113.1")) == ""
    assert await refusal(running.phone, headers=by("2001:db8::3")) == ""


async def test_who_proved_nothing_leaves_room_for_who_did_and_is_about_to_start(serve: Serve) -> None:
    running = await serve(insecure=True, max_tracks=4, api_keys=(settings_entry("admin", KEY),))
    keyed = Phone(running.server.url, api_key=KEY)
    async with keyed.call(start=False) as first, keyed.call(start=False) as second:
        assert "503" in await refusal(running.phone, headers=by("203.0.113.1"))
        await first.send(first.messages.start())
        await second.send(second.messages.start())
        await running.live(2)


async def test_a_ticket_in_the_address_is_good_once_and_for_its_call(serve: Serve) -> None:
    running = await serve(require_ticket=True)
    ids, other = CallIds(), CallIds()
    phone = await ticketed(running, ids)
    ticket = phone.target.url.rpartition("/")[2]
    async with phone.call(ids=ids, parameters={"ticket": ticket}) as call:
        await call.play(500)
        assert await call.hang_up() == 1000
    assert ticket not in str(await running.ended(ids.call))
    assert "403" in await refusal(phone, ids=ids)
    for made_up in ("made-up", "a%2Fb%00", "x" * 500):
        assert "403" in await refusal(Phone(f"{running.server.url}/v1/media/ticket/{made_up}"))
    async with (await ticketed(running, ids)).call(ids=other) as wrong:
        assert await wrong.closed() == 1008
    async with (await ticketed(running, ids)).call(ids=ids, parameters={"ticket": "another"}) as two:
        assert await two.closed() == 1008


async def test_a_ticket_in_the_query_is_as_good(serve: Serve) -> None:
    running = await serve(require_ticket=True)
    ticket = await running.server.store.tickets.issue("CA1")
    async with aiohttp.ClientSession() as session:
        url = f"{running.server.url}/v1/media?ticket={ticket}"
        async with session.ws_connect(url) as socket:
            assert not socket.closed
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(url)
        assert caught.value.status == 403


async def test_the_twiml_leads_to_the_ticket_and_its_path_is_signed(serve: Serve) -> None:
    running = await serve(**SIGNED, require_ticket=True)
    ids = CallIds()
    form = {"CallSid": ids.call}
    async with aiohttp.ClientSession() as session:
        headers = {"X-Twilio-Signature": compute("12345", PUBLIC + "/v1/twiml", form.items())}
        async with session.post(running.server.url + "/v1/twiml", data=form, headers=headers) as answer:
            stream = ET.fromstring(await answer.text()).find("Start/Stream")
    assert stream is not None
    [parameter] = stream
    dialled, ticket = stream.attrib["url"], parameter.attrib["value"]
    assert dialled == f"wss://media.example.net/asr/v1/media/ticket/{ticket}"
    path = dialled.removeprefix("wss://media.example.net/asr")
    phone = Phone(running.server.url + path, auth_token="12345", public_url=PUBLIC + path)
    assert "403" in await refusal(Phone(running.server.url + path)), (
        "without a signature the ticket is not even looked at"
    )
    async with phone.call(ids=ids, parameters={"ticket": ticket}) as call:
        await call.play(500)
        assert await call.hang_up() == 1000


async def test_sample_calls_prove_themselves_with_a_ticket(serve: Serve) -> None:
    running = await serve(**SIGNED, require_ticket=True, api_keys=(settings_entry("admin", KEY),))
    async with aiohttp.ClientSession(headers={"X-API-Key": KEY}) as session:
        async with session.post(f"{running.server.url}/v1/sample-calls") as answer:
            assert answer.status == 202
        await running.live(1)
        assert gauge(running, "sockets_unproved") == 0


async def test_without_redis_a_ticket_that_is_a_must_is_503_and_another_is_passed_over(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: str) -> str:
        raise StoreError("away")

    for must, words in ((True, "503"), (False, "")):
        running = await serve(require_ticket=must)
        phone = await ticketed(running, CallIds())
        monkeypatch.setattr(running.server.store.tickets, "spend", away)
        assert words in await refusal(phone)
        monkeypatch.undo()


async def test_a_ticket_is_not_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    running = await serve(**SIGNED)
    phone = await ticketed(running, CallIds())
    ticket = phone.target.url.rpartition("/")[2]
    with caplog.at_level(logging.DEBUG):
        assert "403" in await refusal(phone)
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{running.server.url}/v1/media?ticket={ticket}", headers={"Upgrade": "websocket"}) as answer,
        ):
            assert answer.status == 403
    assert "URLs tried" in caplog.text
    assert ticket not in caplog.text
