"""How a listening socket leaves a port that other processes listen on too (SO_REUSEPORT): nobody is turned away.

Linux gives each new connection to one of the sockets, and resets those that wait in a socket's queue when it is closed.
So a socket that leaves ignores what asks to connect: the client asks again after a second, and by then the socket is
closed, and another one is asked. What has begun to connect before is accepted.
"""

import array
import socket
import struct
from contextlib import suppress

from transcriber.runtime.bpf import AND, EQUAL, LOAD_BYTE, RETURN, instruction

SETTLE_S = 0.3
"""So long may a handshake that has begun still take. It must be well below a second: then clients ask again."""
SO_ATTACH_FILTER = 26
FLAGS_AT = 13
"""Where the flags stand in a TCP header."""
SYN, ACK = 0x02, 0x10
WHOLE = 0xFFFFFFFF


def ignore_newcomers(listening: socket.socket) -> None:
    """Drop every packet that begins a connection from now on, and no other. Nothing happens where this is unknown."""
    instructions = (
        instruction(LOAD_BYTE, FLAGS_AT),
        instruction(AND, SYN | ACK),
        instruction(EQUAL, SYN, otherwise=1),
        instruction(RETURN, 0),
        instruction(RETURN, WHOLE),
    )
    program = array.array("B", b"".join(instructions))
    count_and_address = struct.pack("HP", len(instructions), program.buffer_info()[0])
    with suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, count_and_address)
