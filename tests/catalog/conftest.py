"""A shelf of models that is really served, and a list of what was said."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from tests.catalog.shelf import NAME, Shelf, model_zip

Serve = Callable[[Any], Awaitable[TestServer]]


class Heard:
    """A `Report` that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.bytes: list[tuple[int, int | None]] = []

    def message(self, line: str) -> None:
        self.lines.append(line)

    def progress(self, done: int, total: int | None) -> None:
        self.bytes.append((done, total))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture(scope="session")
def whole_zip() -> bytes:
    return model_zip()


@pytest.fixture
def shelf(whole_zip: bytes) -> Shelf:
    """Not served yet: `aiohttp_server(shelf.app())`."""
    return Shelf({f"{NAME}.zip": whole_zip})
