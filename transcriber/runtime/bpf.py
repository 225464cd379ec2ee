"""Instructions of the kernel's small programs that judge packets and system calls (classic BPF). Pure."""

import struct

LOAD, LOAD_BYTE, AND, RETURN = 0x20, 0x30, 0x54, 0x06
EQUAL, AT_LEAST, ANY_BIT = 0x15, 0x35, 0x45
INSTRUCTION_BYTES = 8


def instruction(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """One of them; a test skips `then` instructions when it is passed, or else `otherwise`."""
    return struct.pack("=HBBI", code, then, otherwise, value)
