"""Fixtures for every part: a real private Redis, and a store on it."""

import asyncio
import os
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.models import ProcessOf, demo, model_processes
from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.store.redis.private_server import PrivateRedis
from transcriber.store.redis_store import RedisStore, open_store

# aiohttp reads the system's certificates when it is imported, a fifth of what a command takes to start, and the tests
# start hundreds of them; whoever is to be trusted in a test is named in it.
for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
    os.environ.setdefault(name, os.devnull)

# A shell starts programs in the background with Ctrl-C ignored, and what they start inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No timed assertion: on a busy machine an example takes what it takes.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


_skipped: list[str] = []
"""Tests that did not run although nobody said they may; see `pytest_sessionfinish`."""


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what is skipped."""
    if report.skipped and not hasattr(report, "wasxfail"):
        _note_skip(report.nodeid, report.longrepr)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note what is skipped as a file."""
    if report.skipped:
        _note_skip(report.nodeid, report.longrepr)


def _note_skip(test: str, why: object) -> None:
    reason = str(why[2] if isinstance(why, tuple) else why).removeprefix("Skipped: ")
    allowed = os.environ.get("MAY_SKIP", "").split("|")
    if not any(words and words in reason for words in allowed):
        _skipped.append(f"{test}: {reason}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With MAY_SKIP set (reasons, or parts of them, between bars) a test skipped for another reason is a failure."""
    if "MAY_SKIP" in os.environ and _skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name them."""
    if "MAY_SKIP" in os.environ and _skipped:
        terminalreporter.section("skipped, and nobody said that they may be (MAY_SKIP)", red=True)
        for line in _skipped:
            terminalreporter.line(line)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means: more than there are cores, as tests also wait; few, as each begins by collecting."""
    return min(8, 2 * (os.cpu_count() or 1))


@pytest.fixture
def system_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test that asks a server on the internet."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if os.environ[name] == os.devnull:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a redis-server of this run, or of this worker of it. Tests share it: use a prefix of your own."""
    # A loop of its own, so that the server outlives the loops of single tests; a short path, as sockets want.
    with (
        tempfile.TemporaryDirectory(prefix="redis-") as directory,
        asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner,
    ):
        embedded = PrivateRedis(Path(directory))
        runner.run(embedded.__aenter__())
        yield embedded.url
        runner.run(embedded.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def process_of() -> Iterator[ProcessOf]:
    """Gives the process that holds a model, one for all tests of this run, or of this worker of it."""
    with model_processes() as of:
        yield of


@pytest.fixture(scope="session")
def demo_model(process_of: ProcessOf) -> ModelProcess:
    """The process that holds the bundled model."""
    return process_of(demo())


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisStore]:
    """An open store with a prefix of its own (`store.keys.prefix`) and one hour of history; its keys go afterwards."""
    async with await open_store(redis_url, prefix=f"test{secrets.token_hex(4)}", ttl_s=3600) as opened:
        yield opened
        async for key in opened.client.scan_iter(match=f"{opened.keys.prefix}:*", count=1000):
            await opened.client.delete(key)
