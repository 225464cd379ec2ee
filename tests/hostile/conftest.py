"""The server as it is run, with the fixtures of `tests/server`."""

from tests.server.conftest import serve

__all__ = ["serve"]
