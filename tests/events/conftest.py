"""Whole servers, as in `tests/server`."""

from tests.server.conftest import serve

__all__ = ["serve"]
