"""Servers' outboxes on a Redis that gets into trouble."""

from tests.outbox_servers import open_post, trouble

__all__ = ["open_post", "trouble"]
