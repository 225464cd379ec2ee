"""One shape for every error, and what every answer carries."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from aiohttp import ClientError

from tests.web.conftest import WebClient
from transcriber.errors import ModelError
from transcriber.store.ports import CallPage, CallQuery
from transcriber.store.redis_store import RedisStore


class BrokenHistory:
    """Fails in ways nobody planned."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def calls(self, query: CallQuery) -> CallPage:
        raise self._error

    async def call(self, call_sid: str) -> Mapping[str, Any]:
        raise self._error

    async def events(self, call_sid: str, *, after: int = 0) -> Sequence[str]:
        raise self._error

    async def delete(self, call_sid: str) -> None:
        raise self._error


async def test_an_unknown_path(web_client: WebClient) -> None:
    answer = await (await web_client()).get("/v2/calls")
    assert answer.status == 404
    assert answer.content_type == "application/json"
    assert (await answer.json())["error"] == {"code": "not_found", "message": "nothing is served at /v2/calls"}


async def test_an_unknown_method_keeps_allow(web_client: WebClient) -> None:
    answer = await (await web_client()).put("/v1/calls/CA1")
    assert answer.status == 405
    assert set(answer.headers["Allow"].split(",")) == {"DELETE", "GET", "HEAD"}
    error = (await answer.json())["error"]
    assert error["code"] == "method_not_allowed"
    assert "DELETE, GET, HEAD" in error["message"]


@pytest.mark.parametrize("error", [ZeroDivisionError("the secret"), ModelError("the secret")])
async def test_an_unexpected_error_is_logged_once_without_detail(
    web_client: WebClient, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    client = await web_client({"history": BrokenHistory(error)})
    with caplog.at_level(logging.ERROR):
        answer = await client.get("/v1/calls", headers={"X-Request-ID": "my-id"})
    assert answer.status == 500
    body = await answer.text()
    assert "my-id" in body
    assert "secret" not in body
    assert len(caplog.records) == 1
    assert "my-id" in caplog.records[0].getMessage()


async def test_a_caller_who_leaves_before_the_upgrade_is_answered_is_no_error(
    web_client: WebClient, store: RedisStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = await web_client()

    async def and_the_caller_leaves(ticket: str) -> str:
        for connection in client.server.handler.connections:
            assert connection.transport is not None
            connection.transport.close()
        return "CA1"

    monkeypatch.setattr(store.tickets, "spend", and_the_caller_leaves)
    with caplog.at_level(logging.INFO), pytest.raises(ClientError):
        await client.ws_connect("/v1/media?ticket=abc")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_every_answer_has_its_id_and_safe_headers(web_client: WebClient) -> None:
    client = await web_client()
    for path in ("/healthz", "/v1/calls", "/nowhere"):
        answer = await client.get(path, headers={"X-Request-ID": "abc.1"})
        assert answer.headers["X-Request-ID"] == "abc.1"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Server"] == "transcriber"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "<script>"])
async def test_a_strange_request_id_is_replaced(web_client: WebClient, given: str) -> None:
    answer = await (await web_client()).get("/healthz", headers={"X-Request-ID": given})
    assert len(answer.headers["X-Request-ID"]) == 32
