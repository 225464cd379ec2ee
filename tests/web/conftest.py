"""A web client over the real application and the real store; only the registry of live streams is a small stand-in."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

from tests.server.conftest import serve
from tests.web.written_call import WrittenCall
from transcriber.calls.admission import AdmissionPolicy
from transcriber.calls.session_manager import SessionManager
from transcriber.observability.metrics import Metrics
from transcriber.settings.definition import Settings
from transcriber.store.redis_store import RedisStore
from transcriber.web.app import create_app
from transcriber.web.services import Services

__all__ = ["serve"]

Client = TestClient[web.Request, web.Application]


class StubAdmission(AdmissionPolicy):
    """Admits as a test says."""

    full = False
    live_tracks = 0
    takes_streams = True

    def __init__(self) -> None:
        self.draining = False


class StubSessions(SessionManager):
    """Has no streams, only remembers what the web asked of them."""

    admission: StubAdmission

    def __init__(self) -> None:
        self.admission = StubAdmission()
        self.ended: list[tuple[str, str]] = []
        self.reported: list[tuple[str, str, str]] = []

    def end(self, stream_sid: str, reason: str) -> bool:
        self.ended.append((stream_sid, reason))
        return stream_sid.startswith("MZ")

    def report(self, stream_sid: str, code: str, message: str) -> None:
        self.reported.append((stream_sid, code, message))


class WebClient(Protocol):
    """Makes a client; `parts` replaces fields of Services, the rest are settings."""

    async def __call__(self, parts: Mapping[str, Any] | None = None, /, **settings: Any) -> Client: ...


@pytest.fixture
def sessions() -> StubSessions:
    return StubSessions()


@pytest.fixture
def services(store: RedisStore, sessions: StubSessions) -> Services:
    async def all_well() -> Mapping[str, str]:
        return {}

    return Services(
        settings=Settings(),
        history=store.history,
        feed=store.feed,
        tickets=store.tickets,
        status_callbacks=store.status_callbacks,
        sessions=sessions,
        readiness=all_well,
        metrics=Metrics(),
    )


@pytest.fixture
def web_client(aiohttp_client: AiohttpClient, services: Services) -> WebClient:
    async def make(parts: Mapping[str, Any] | None = None, /, **settings: Any) -> Client:
        changed = replace(services, settings=Settings(**settings), **(parts or {}))
        return await aiohttp_client(create_app(changed))

    return make


@pytest.fixture
def begin_call(store: RedisStore) -> Callable[..., Awaitable[WrittenCall]]:
    async def begin(call_sid: str = "CA1", **more: Any) -> WrittenCall:
        return await WrittenCall.begin(store.event_log, call_sid, **more)

    return begin
