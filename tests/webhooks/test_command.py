"""`transcriber webhook` as a process: killed, stopped, without Redis for a while; its dead letters; what it refuses."""

import asyncio
import json
import signal
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.process import wait_for_line
from tests.web.written_call import WrittenCall
from tests.webhooks.conftest import SECRET, Receiving, command
from transcriber.cli.main import main
from transcriber.store.redis.private_server import PrivateRedis
from transcriber.store.redis_store import RedisStore, open_store


async def test_killed_in_the_middle_of_a_delivery_it_is_sent_again(
    redis_url: str, store: RedisStore, receiving: Receiving, begin_call: Any
) -> None:
    never = asyncio.Event()
    receiving.rule = lambda event, tries: never if len(receiving.tried) == 2 else 200
    call = await begin_call("CA1")
    for word in ("one", "two", "three"):
        await call.say(word)
    arguments = (receiving.url, "--all", "--takeover-s", "2")
    async with command(*arguments, url=redis_url, prefix=store.keys.prefix) as child:
        await receiving.until(lambda: len(receiving.tried) == 2)
        child.kill()
        await child.wait()
    assert receiving.texts("CA1") == ["one"]
    async with command(*arguments, url=redis_url, prefix=store.keys.prefix):
        await receiving.until(lambda: len(receiving.taken) == 3)
    assert receiving.texts("CA1") == ["one", "two", "three"]
    assert [event["text"] for event in receiving.tried] == ["one", "two", "two", "three"]
    never.set()


async def test_sigterm_finishes_what_is_under_way_and_leaves_the_rest(
    redis_url: str, store: RedisStore, receiving: Receiving, begin_call: Any
) -> None:
    answer = asyncio.Event()
    receiving.rule = lambda event, tries: answer
    call = await begin_call("CA1")
    await call.say("one")
    await call.say("two")
    async with command(receiving.url, "--all", url=redis_url, prefix=store.keys.prefix) as child:
        await receiving.until(lambda: len(receiving.tried) == 1)
        child.send_signal(signal.SIGTERM)
        answer.set()
        out, _ = await asyncio.wait_for(child.communicate(), 20)
    assert child.returncode == 0
    assert b"Traceback" not in out
    assert b"stopped: 1 delivered, 0 refused, 0 exhausted" in out
    assert receiving.texts("CA1") == ["one"]
    async with command(receiving.url, url=redis_url, prefix=store.keys.prefix):  # at once: 30 s need not pass
        await receiving.until(lambda: receiving.texts("CA1") == ["one", "two"])


async def test_redis_goes_and_comes_back(tmp_path: Path, receiving: Receiving, unused_tcp_port: int) -> None:
    arguments = (receiving.url, "--all", "--takeover-s", "2", "--metrics-port", str(unused_tcp_port))
    async with AsyncExitStack() as stack:
        async with redis_with_call(tmp_path) as (url, call):
            await call.say("one")
            child = await stack.enter_async_context(command(*arguments, url=url, prefix="transcripts"))
            await receiving.took(1)
        async with redis_with_call(tmp_path, call) as (_, call):
            await call.say("two")
            await call.end()
            await receiving.until(lambda: receiving.texts("CA1")[-1] == "end")
            metrics = await asyncio.to_thread(_get, f"http://127.0.0.1:{unused_tcp_port}/metrics")
            child.send_signal(signal.SIGTERM)
            out, _ = await asyncio.wait_for(child.communicate(), 20)
    assert list(dict.fromkeys(receiving.texts("CA1"))) == ["one", "two", "end"]
    assert 'transcriber_webhook_attempts_total{status="200"}' in metrics
    assert child.returncode == 0
    assert b"Redis is away" in out
    assert b"Redis is back" in out
    assert b"Traceback" not in out
    assert SECRET.encode() not in out


async def test_metrics_are_served_where_the_host_says(
    store: RedisStore, redis_url: str, receiving: Receiving, unused_tcp_port: int
) -> None:
    arguments = (receiving.url, "--metrics-port", str(unused_tcp_port), "--metrics-host", "127.0.0.2")
    async with command(*arguments, url=redis_url, prefix=store.keys.prefix) as child:
        await wait_for_line(child, b"webhook default: new")
        metrics = await asyncio.to_thread(_get, f"http://127.0.0.2:{unused_tcp_port}/metrics")
        assert "transcriber_webhook_dead_letters" in metrics
        with pytest.raises(urllib.error.URLError):
            await asyncio.to_thread(_get, f"http://127.0.0.1:{unused_tcp_port}/metrics")


@asynccontextmanager
async def redis_with_call(directory: Path, call: WrittenCall | None = None) -> AsyncIterator[tuple[str, WrittenCall]]:
    """A redis-server of its own, with a call that begins or goes on."""
    async with PrivateRedis(directory) as server, await open_store(server.url, prefix="transcripts", ttl_s=0) as store:
        if call is None:
            call = await WrittenCall.begin(store.event_log, "CA1")
        call.event_log = store.event_log
        yield server.url, call


def _get(url: str) -> str:
    with urllib.request.urlopen(url) as answer:
        return str(answer.read().decode())


@pytest.fixture
def tend(
    redis_url: str, store: RedisStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Awaitable[tuple[int, str]]]:
    """A command that ends by itself, in a thread: its exit status and what it said."""
    monkeypatch.setenv("TRANSCRIBER_REDIS_URL", redis_url)
    monkeypatch.setenv("TRANSCRIBER_REDIS_PREFIX", store.keys.prefix)
    monkeypatch.setenv("TRANSCRIBER_WEBHOOK_SECRET", SECRET)

    async def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        status = await asyncio.to_thread(main, ["webhook", *arguments])
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    return run


async def test_dead_letters_are_listed_replayed_and_discarded(
    redis_url: str, store: RedisStore, receiving: Receiving, begin_call: Any, tend: Any
) -> None:
    call, expired, odd = await begin_call("CA1"), await begin_call("CA2"), await begin_call("CA3")
    for each in (call, expired, odd):
        await each.say("hello")
    await expired.end()
    receiving.rule = lambda event, tries: 400
    prefix = store.keys.prefix
    async with command(receiving.url, "--all", url=redis_url, prefix=prefix) as child:
        await receiving.until(lambda: len(receiving.tried) == 4)
        child.send_signal(signal.SIGTERM)
        await child.wait()
    await store.client.delete(store.keys.events("CA2"), store.keys.call("CA2"))
    receiving.rule = lambda event, tries: 400 if event["call_sid"] == "CA3" else 200

    status, said = await tend("--dead", "--json")
    letters = [json.loads(line) for line in said.splitlines()]
    assert [(letter["call_sid"], letter["seq"], letter["reason"], letter["attempts"]) for letter in letters] == [
        ("CA1", 3, "400", 1),
        ("CA2", 3, "400", 1),
        ("CA2", 5, "400", 1),
        ("CA3", 3, "400", 1),
    ]
    assert "hello" not in said
    status, said = await tend(receiving.url, "--replay")
    assert "1 delivered, 1 not taken and kept, 2 of deleted or expired calls" in said
    assert (status, receiving.texts("CA1")) == (1, ["hello"])
    status, said = await tend("--dead")
    assert "CA3  event 3  1 try, the last: 400" in said
    assert said.count("\n") == 1
    assert await tend("--discard") == (0, "")
    assert await tend("--dead") == (0, "")


@pytest.mark.parametrize(
    ("arguments", "secret", "said"),
    [
        (["ftp://crm.example"], SECRET, "must look like https://"),
        (["https://"], SECRET, "must look like https://"),
        (["https://crm.example/#part"], SECRET, "must look like https://"),
        (["https://crm.example:0"], SECRET, "must look like https://"),
        (["https://me:secret@crm.example"], SECRET, "must not hold a password"),
        (["http://crm.example"], SECRET, "unencrypted"),
        (["https://crm.example"], "", "TRANSCRIBER_WEBHOOK_SECRET is not set"),
        (["https://crm.example"], "tooshort", "whsec_"),
        (["https://crm.example"], "whsec_c2hvcnQ=", "whsec_"),
    ],
)
def test_what_is_wrong_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], secret: str, said: str
) -> None:
    monkeypatch.setenv("TRANSCRIBER_WEBHOOK_SECRET", secret)
    assert main(["webhook", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert "tooshort" not in error
    assert "secret@" not in error


@pytest.mark.parametrize(
    "arguments",
    [[], ["https://crm.example", "--name", "a b"], ["https://crm.example", "--attempts", "0"], ["--dead", "--replay"]],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["webhook", *arguments])
    assert "usage:" in capsys.readouterr().err
