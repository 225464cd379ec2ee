"""A client that runs in a network namespace of its own: one JSON job a line on stdin, one JSON answer a line on stdout.

A job is `{"address": [host, port], "raw": "GET / HTTP/1.1\\r\\n…", "tls": false}`, answered with the status, or
`{"url": …, "auth_token": …, "public_url": …, "api_key": …}`: a call, answered with its close code or the refusal.
"""

import asyncio
import json
import socket
import ssl
import sys
from typing import Any

from tests.phone import Phone
from transcriber.errors import ServerUnreachable

PATIENCE_S = 30


def status(address: tuple[str, int], raw: str, *, tls: bool) -> int:
    """Of the answer to exactly these bytes; 0: the connection was closed without one."""
    with socket.create_connection(address, timeout=PATIENCE_S) as plain, _secured(plain, tls=tls) as line:
        line.sendall(raw.encode("latin-1"))
        answer = b""
        while b"\r\n" not in answer and (more := line.recv(4096)):
            answer += more
    return int(answer.split()[1]) if answer else 0


def _secured(plain: socket.socket, *, tls: bool) -> socket.socket:
    if not tls:
        return plain
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # whom it reaches is not what is asked
    return context.wrap_socket(plain)


async def stream(**target: Any) -> dict[str, Any]:
    """A call of three seconds of audio."""
    try:
        async with Phone(**target).call() as call:
            await call.play(3000)
            return {"closed": await call.hang_up(within_s=PATIENCE_S)}
    except ServerUnreachable as error:
        return {"refused": str(error)}


def main() -> None:
    """Until stdin ends."""
    for line in sys.stdin:
        job = json.loads(line)
        answer = (
            {"status": status((job["address"][0], job["address"][1]), job["raw"], tls=job["tls"])}
            if "raw" in job
            else asyncio.run(stream(**job))
        )
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
