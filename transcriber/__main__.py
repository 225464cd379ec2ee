"""The program `transcriber`, also as `python -m transcriber`."""

import sys

from transcriber.runtime import allocator


def main() -> int:
    """Entry point. The server chooses its allocator first, before the command line's imports."""
    if sys.argv[1:2] == ["serve"]:
        allocator.restart_on_mimalloc()
    from transcriber.cli.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
