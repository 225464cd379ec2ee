"""A listening socket that ignores newcomers: those that have connected stay, the others are accepted by another one."""

import asyncio
import errno
import socket
from contextlib import closing

from transcriber.web.transport import shared_port


def listening(port: int = 0) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    made.listen()
    made.setblocking(False)
    return made


def begin_to_connect(address: tuple[str, int]) -> socket.socket:
    """A socket that has sent its first packet."""
    made = socket.socket()
    made.setblocking(False)
    assert made.connect_ex(address) == errno.EINPROGRESS
    return made


async def test_newcomers_wait_for_another_socket_and_the_others_are_heard() -> None:
    loop = asyncio.get_running_loop()
    with closing(listening()) as leaving:
        address = leaving.getsockname()
        early = await asyncio.open_connection(*address)
        accepted, _ = await loop.sock_accept(leaving)
        queued = await asyncio.open_connection(*address)
        shared_port.ignore_newcomers(leaving)
        late = [begin_to_connect(address) for _ in range(8)]
        for _, writer in (early, queued):
            writer.write(b"heard")
        from_queue, _ = await loop.sock_accept(leaving)
        with closing(listening(address[1])) as staying:
            leaving.close()
            for connection in (accepted, from_queue):
                connection.setblocking(False)
                assert await loop.sock_recv(connection, 5) == b"heard"
                connection.close()
            async with asyncio.timeout(20):
                arrived = [(await loop.sock_accept(staying))[0] for _ in late]
            for connection in (*arrived, *late):
                connection.close()
            for _, writer in (early, queued):
                writer.close()
