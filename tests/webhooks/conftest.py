"""A webhook's receiver on a real socket, and senders: in this process, or as the command."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks.webhooks import Webhook

from tests.process import program
from tests.web.written_call import WrittenCall
from transcriber.settings.signing_secret import key_of
from transcriber.store.feed import RedisFeed
from transcriber.store.ports import Feed
from transcriber.store.redis_store import RedisStore
from transcriber.webhooks.client import WebhookClient
from transcriber.webhooks.dead_letters import DeadLetters
from transcriber.webhooks.deliverer import DeliveryContext
from transcriber.webhooks.dispatcher import WebhookDispatcher
from transcriber.webhooks.metrics import WebhookMetrics
from transcriber.webhooks.queue import WebhookQueue

SECRET = "whsec_" + "c2VjcmV0" * 5
NAME = "test"
WITHIN_S = 20.0
AT_ONCE = 8
"""Requests that a sender has under way at most."""
Answer = int | tuple[int, Mapping[str, str]] | asyncio.Event
"""What the receiver answers: a status, with headers, or nothing until the event is set (then 200)."""
Event = dict[str, Any]


@dataclass
class Receiving:
    """Takes posts on /hook, checks each signature with the library of the standard, answers as `rule` says."""

    rule: Callable[[Event, int], Answer] = lambda event, tries: 200
    url: str = ""
    secret: str = SECRET
    tried: list[Event] = field(default_factory=list)
    taken: list[Event] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/hook", self._post)
        return app

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return as soon as the condition holds; it is looked at after every post."""
        async with asyncio.timeout(WITHIN_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def took(self, count: int) -> list[Event]:
        """The first `count` events that were answered with 2xx."""
        await self.until(lambda: len(self.taken) >= count)
        return self.taken[:count]

    def texts(self, call_sid: str) -> list[str]:
        """What was taken of a call, in order: texts, and `end`."""
        return [event.get("text", "end") for event in self.taken if event["call_sid"] == call_sid]

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.read()
        event: Event = Webhook(self.secret).verify(body, dict(request.headers))
        self.tried.append(event)
        self.headers.append(request.headers)
        tries = sum(each == event for each in self.tried)
        self._news.set()
        answer = self.rule(event, tries)
        if isinstance(answer, asyncio.Event):
            await answer.wait()
            answer = 200
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        if 200 <= status < 300:
            self.taken.append(event)
            self._news.set()
        return web.Response(status=status, headers=headers)


@pytest.fixture
async def receiving(aiohttp_server: Callable[[web.Application], Awaitable[TestServer]]) -> Receiving:
    receiving = Receiving()
    server = await aiohttp_server(receiving.app())
    receiving.url = str(server.make_url("/hook"))
    return receiving


@dataclass
class Sending:
    """A sender at work in this process."""

    dispatcher: WebhookDispatcher
    task: "asyncio.Task[None]"
    metrics: WebhookMetrics
    client: WebhookClient
    dead_letters: DeadLetters

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"transcriber_webhook_{name}", labels)


Send = Callable[..., Any]


@pytest.fixture
def send(store: RedisStore, receiving: Receiving) -> Send:
    """`async with send(…) as sending`: a sender from the webhook's first moment on, or from where the name stands."""

    @asynccontextmanager
    async def start(
        *,
        name: str = NAME,
        attempts: int = 5,
        first_delay_s: float = 0.01,
        lease_s: float = 30.0,
        timeout_s: float = 10.0,
        born_ms: int = 0,
        following: Feed | None = None,
    ) -> AsyncIterator[Sending]:
        consumer = f"consumer-{os.urandom(4).hex()}"
        queue = WebhookQueue(store.client, store.keys, name=name, consumer=consumer, lease_s=lease_s)
        dead_letters = DeadLetters(store.client, store.keys, name=name, ttl_s=3600)
        await queue.register(born_ms=born_ms)
        feed = RedisFeed(store.client, store.keys)
        async with WebhookClient(receiving.url, [key_of(SECRET)], timeout_s=timeout_s, concurrency=AT_ONCE) as client:
            context = DeliveryContext(
                queue=queue,
                dead_letters=dead_letters,
                client=client,
                metrics=WebhookMetrics(),
                stopping=asyncio.Event(),
                max_attempts=attempts,
                lease_s=lease_s,
                first_delay_s=first_delay_s,
            )
            dispatcher = WebhookDispatcher(context, following or feed)
            task = asyncio.create_task(dispatcher.run())
            try:
                yield Sending(dispatcher, task, context.metrics, client, dead_letters)
            finally:
                dispatcher.stop()
                await asyncio.wait({task}, timeout=WITHIN_S)
                await feed.aclose()

    return start


@pytest.fixture
def begin_call(store: RedisStore) -> Callable[..., Awaitable[WrittenCall]]:
    async def begin(call_sid: str = "CA1", **more: Any) -> WrittenCall:
        return await WrittenCall.begin(store.event_log, call_sid, **more)

    return begin


def command(
    *arguments: str, url: str, prefix: str, **environment: str
) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """`transcriber webhook …` as a process on that Redis."""
    settings = {
        "TRANSCRIBER_REDIS_URL": url,
        "TRANSCRIBER_REDIS_PREFIX": prefix,
        "TRANSCRIBER_WEBHOOK_SECRET": SECRET,
    }
    return program(sys.executable, "-m", "transcriber", "webhook", *arguments, environment=settings | environment)
