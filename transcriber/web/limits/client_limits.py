"""How many connections clients may have, and what each must do in time. aiohttp bounds neither."""

import resource
from dataclasses import dataclass, field

RESERVED_FILES = 256
"""For everything but connections: Redis, models, logs."""


def most_connections() -> int:
    """As many as the process may have files open, less a reserve."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(files - RESERVED_FILES, files // 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """All times in seconds."""

    connections: int = field(default_factory=most_connections)
    handshake_s: float = 5.0
    """For the TLS handshake."""
    head_s: float = 5.0
    """From the first byte of a request's head (of the first request: from connecting) to its last."""
    body_s: float = 10.0
    """For a request's body, once its head is here."""
    write_s: float = 30.0
    """For the client to take some of an answer, once the connection's buffers are full."""
    start_s: float = 5.0
    """From the opening of a media socket to its start message."""
    check_every_s: float = 0.5
    """How often overdue connections are looked for."""
