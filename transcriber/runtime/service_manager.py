"""Tells systemd what state the process is in, where it asks for that (`Type=notify`); nothing anywhere else."""

import logging
import os
import socket
import time

log = logging.getLogger(__name__)
VARIABLE = "NOTIFY_SOCKET"


def ready(status: str) -> None:
    """It serves, from now on or again. `status`: a line that `systemctl status` shows."""
    _tell("READY=1", f"STATUS={status}")


def reloading() -> None:
    """It renews what it can; `ready` ends that."""
    _tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping(status: str) -> None:
    """It ends, after what `status` says."""
    _tell("STOPPING=1", f"STATUS={status}")


def _tell(*states: str) -> None:
    """One datagram to the socket that the environment names; never blocks, and a failure is only logged."""
    address = os.environ.get(VARIABLE)
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
            sender.sendto("\n".join(states).encode(), "\0" + address[1:] if address.startswith("@") else address)
    except OSError as error:
        log.warning("the service manager at %s is not told: %s", address, error.strerror)
