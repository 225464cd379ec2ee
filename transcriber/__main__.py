"""The program `transcriber`, also as `python -m transcriber`."""

import sys

from transcriber.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
