"""HAProxy with its file of deploy/, as the ring of proxies starts it."""

from tests.proxy.conftest import front

__all__ = ["front"]
