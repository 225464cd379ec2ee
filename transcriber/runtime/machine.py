"""What the machine has."""

import os


def memory_bytes() -> int:
    """All of its memory, whoever uses it."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
