"""Servers' outboxes on a Redis that gets into trouble."""

from tests.outbox_servers import open_server, redis_server

__all__ = ["open_server", "redis_server"]
