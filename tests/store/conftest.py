"""Servers' outboxes on a Redis that gets into redis_server."""

from tests.outbox_servers import open_server, redis_server

__all__ = ["open_server", "redis_server"]
