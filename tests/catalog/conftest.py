"""A server of model archives, and a reporter that keeps what it is told."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from tests.catalog.archive_server import NAME, ArchiveServer, model_zip

Serve = Callable[[Any], Awaitable[TestServer]]


class RecordedProgress:
    """A `ProgressReporter` that keeps everything."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.bytes: list[tuple[int, int | None]] = []

    def message(self, line: str) -> None:
        self.lines.append(line)

    def progress(self, done: int, total: int | None) -> None:
        self.bytes.append((done, total))


@pytest.fixture
def reporter() -> RecordedProgress:
    return RecordedProgress()


@pytest.fixture(scope="session")
def whole_zip() -> bytes:
    return model_zip()


@pytest.fixture
def archive_server(whole_zip: bytes) -> ArchiveServer:
    """Not started yet: `aiohttp_server(archive_server.app())`."""
    return ArchiveServer({f"{NAME}.zip": whole_zip})
